"""Measuring how fast a model answers."""

import time

import numpy as np
import pytest

from digits.evaluation.latency import (
    BATCH_CALLS,
    BATCH_IMAGES,
    SINGLE_CALLS,
    WARM_UP_CALLS,
    measure_latency,
)


@pytest.fixture
def images():
    return np.zeros((3, 8, 8), dtype=np.uint8)


def test_counts_are_fixed_however_few_images_there_are(images):
    seen = []
    measure_latency(lambda batch: seen.append(batch.shape), images)
    assert seen.count((1, 8, 8)) == WARM_UP_CALLS + SINGLE_CALLS
    assert seen.count((BATCH_IMAGES, 8, 8)) == 1 + BATCH_CALLS
    assert len(seen) == WARM_UP_CALLS + SINGLE_CALLS + 1 + BATCH_CALLS


def test_the_slow_first_calls_are_not_counted(images):
    calls = iter([0.5, *[0.0] * 100])
    latency = measure_latency(lambda _: time.sleep(next(calls)), images)
    assert latency.p95_ms < 250


def test_milliseconds_and_images_per_second_are_what_they_say(images):
    latency = measure_latency(lambda batch: time.sleep(0.002 if len(batch) == 1 else 0.02), images)
    assert 2 <= latency.p50_ms <= latency.p95_ms
    assert BATCH_IMAGES / 0.2 < latency.images_per_s <= BATCH_IMAGES / 0.02
