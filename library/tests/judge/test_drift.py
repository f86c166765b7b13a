"""Drift is told only where a difference is both significant and large."""

import numpy as np
import pytest
from scipy.stats import binom

from imageproof.judge.drift import (
    KnownFeatures,
    compare_accuracy,
    compare_counts,
    compare_values,
    judge,
)

MIN_EFFECT = 0.1
LEVEL = 0.01
CLASSES = 5
WIDTH = 32
UNEVEN = [0.4, 0.3, *[0.05] * 4, *[0.025] * 4]  # shares of ten classes
NEAR = [0.5, 0.45, 0.05]


@pytest.fixture
def random():
    return np.random.default_rng(0)


def drifted(*comparisons, level=LEVEL):
    return any(drift.drifted for drift in judge(comparisons, level))


def test_clean_samples_of_few_images_do_not_drift(random):
    def drawn(rows):
        """Inks, contrasts, counts of classes and of distances."""
        values = random.normal(size=rows), random.integers(200, 256, rows)
        return *values, random.multinomial(rows, UNEVEN), random.multinomial(rows, NEAR)

    reference = drawn(6000)
    alarms = 0
    for rows in [25, 100] * 200:
        ink, contrast, classes, distances = zip(drawn(rows), reference, strict=True)
        alarms += drifted(
            compare_values("mean_ink", *ink, MIN_EFFECT),
            compare_values("contrast", *contrast, MIN_EFFECT),
            compare_counts("class_shares", *classes, MIN_EFFECT),
            compare_counts("features", *distances, 0.03),
            level=0.02,
        )
    # 8 are promised; by chance, in 97.5 % of the tests, 14
    assert alarms <= binom.ppf(0.975, 400, 0.02)


def test_shift_drifts_and_a_significant_trifle_does_not(random):
    shifted = compare_values("ink", random.normal(1, 1, 500), random.normal(size=5000), MIN_EFFECT)
    assert drifted(shifted)
    many = random.normal(0.05, size=90_000), random.normal(size=90_000)
    trifle = compare_values("ink", *many, MIN_EFFECT)
    assert trifle.p_value < LEVEL
    assert not drifted(trifle)


def test_shifted_classes_drift_by_the_share_that_changed():
    counts = np.array([[700, 300, 0], [500, 500, 0]])
    comparison = compare_counts("classes", *counts, MIN_EFFECT)
    assert comparison.effect == pytest.approx(0.2)
    assert drifted(comparison)
    # several comparisons must be more significant
    first, *_ = judge([comparison._replace(p_value=0.004)] * 3, LEVEL)
    assert (first.p_value, first.drifted) == (pytest.approx(0.012), False)


def test_accuracy_drifts_if_the_loss_is_more_than_chance():
    holdout = (5940, 6000)
    assert compare_accuracy(97, 100, holdout).p_value > LEVEL
    lost = compare_accuracy(900, 1000, holdout)
    assert lost.effect == pytest.approx(0.09)
    assert drifted(lost)
    assert compare_accuracy(1000, 1000, holdout).effect == 0


def features(random, count, classes=CLASSES):
    """Features float32 (count, 32) of so many classes: a direction each, with noise."""
    centres = np.random.default_rng(1).normal(size=(10, WIDTH))
    chosen = centres[random.integers(classes, size=count)] * random.uniform(1, 9, (count, 1))
    return (chosen + random.normal(0, 0.3, (count, WIDTH))).astype(np.float32)


def test_features_drift_if_a_tenth_is_foreign(random):
    reference = KnownFeatures(features(random, 1500))

    def has_drifted(new):
        return drifted(reference.compare(reference.distances(new), 0.03))

    assert sum(has_drifted(features(random, 500)) for _ in range(20)) <= 1
    foreign = features(random, 1000, classes=10)
    foreign = foreign[reference.distances(foreign) > reference.cuts[-1]][:50]
    assert has_drifted(np.concatenate([features(random, 450), foreign]))


def test_new_writers_like_the_known_ones_do_not_drift(random):
    """Images of one writer are near each other."""
    writers = np.repeat(np.arange(30), 20)

    def written():
        styles = random.normal(0, 0.4, (30, WIDTH))
        return (features(random, len(writers)) + styles[writers]).astype(np.float32)

    alarms = 0
    for _ in range(20):
        reference = KnownFeatures(written(), writers)
        alarms += drifted(reference.compare(reference.distances(written()), 0.03))
    assert alarms <= 2
