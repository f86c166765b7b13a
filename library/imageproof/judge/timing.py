"""How fast a model answers, and which training times can be compared."""

from collections.abc import Callable
from functools import partial
from timeit import repeat, timeit

import numpy as np

from imageproof.base.dataset import Images, Predict

# A training time cannot be compared if other processes used this many of its cores or more.
SHARED_CORES = 0.2

REQUESTS = 50
BATCH_IMAGES = 512
WARM_UP_CALLS = 3  # the first call of each shape compiles the graph


def comparable_s(elapsed_s: float, shared_cores: float) -> float | None:
    return elapsed_s if shared_cores < SHARED_CORES else None


def measure_latency(predict: Predict, images: Images) -> dict[str, float]:
    """`p50_ms p95_ms` of one image (see `request_times`), and `images_per_s` in batches of 512."""
    p50, p95 = request_times(predict, images)
    batch = np.resize(images[:BATCH_IMAGES], (BATCH_IMAGES, *images.shape[1:]))
    predict(batch)
    # other work on the machine can only slow it
    fastest = min(repeat(partial(predict, batch), number=1, repeat=3))
    return {"p50_ms": p50, "p95_ms": p95, "images_per_s": BATCH_IMAGES / fastest}


def request_times(
    predict: Callable[[Images], object], images: Images, *, size: int = 1
) -> tuple[float, float]:
    """Median and 95th percentile in ms of 50 calls with `size` images each, after warming up.

    `images` uint8 (n, height, width), n at least 1, are repeated where they do not suffice.
    """
    needed = images[: REQUESTS * size]  # `resize` would copy them all
    requests = np.resize(needed, (REQUESTS, size, *images.shape[1:]))
    for request in requests[:WARM_UP_CALLS]:
        predict(request)
    seconds = [timeit(partial(predict, request), number=1) for request in requests]
    p50, p95 = np.percentile(seconds, [50, 95])
    return 1000 * float(p50), 1000 * float(p95)
