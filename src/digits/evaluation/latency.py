"""How fast a model answers: one image at a time, and in batches."""

import time
from typing import NamedTuple

import numpy as np

from digits.core.dataset import Images, Predict

SINGLE_CALLS = 50
BATCH_IMAGES = 512
BATCH_CALLS = 3
WARM_UP_CALLS = 3  # the first call of each shape compiles the graph


class Latency(NamedTuple):
    """Median and 95th percentile for one image in ms, and images per second in batches."""

    p50_ms: float
    p95_ms: float
    images_per_s: float


def measure_latency(predict: Predict, images: Images) -> Latency:
    """Time 50 calls with one image each and 3 calls with 512, after warming up both.

    `images` uint8 (n, height, width), n at least 1; fewer than 512 are repeated. The batch
    rate is that of the fastest call, since other work on the machine can only slow it.
    """
    shape = images.shape[1:]
    batch = np.resize(images, (BATCH_IMAGES, *shape))
    singles = [batch[row : row + 1] for row in range(SINGLE_CALLS)]
    for image in singles[:WARM_UP_CALLS]:
        predict(image)
    p50, p95 = np.percentile([_seconds(predict, image) for image in singles], [50, 95])
    predict(batch)
    fastest = min(_seconds(predict, batch) for _ in range(BATCH_CALLS))
    return Latency(float(p50) * 1000, float(p95) * 1000, BATCH_IMAGES / fastest)


def _seconds(predict: Predict, images: Images) -> float:
    start = time.perf_counter()
    predict(images)
    return time.perf_counter() - start
