"""How fast a model answers, and which training times can be compared."""

from collections.abc import Callable
from functools import partial
from time import thread_time
from timeit import repeat, timeit
from typing import NamedTuple

import numpy as np

from imageproof.base.dataset import Images, Predict
from imageproof.base.errors import BusyError

# A training time cannot be compared if other processes used this many of its cores or more.
SHARED_CORES = 0.2

REQUESTS = 50
BATCH_IMAGES = 512
# A latency says nothing if requests waited for a processor for more than this share of their time.
MOST_WAITED = 0.1
TRIES = 3  # to measure it
WARM_UP_CALLS = 3  # the first call of each shape compiles the graph


def comparable_s(elapsed_s: float, shared_cores: float) -> float | None:
    return elapsed_s if shared_cores < SHARED_CORES else None


def measure_latency(predict: Predict, images: Images) -> dict[str, float]:
    """`p50_ms p95_ms` of one image (see `request_times`), and `images_per_s` in batches of 512."""
    p50, p95, _ = request_times(predict, images)
    batch = np.resize(images[:BATCH_IMAGES], (BATCH_IMAGES, *images.shape[1:]))
    predict(batch)
    # other work on the machine can only slow it
    fastest = min(repeat(partial(predict, batch), number=1, repeat=3))
    return {"p50_ms": p50, "p95_ms": p95, "images_per_s": BATCH_IMAGES / fastest}


class RequestTimes(NamedTuple):
    """Median and 95th percentile in ms; the share of the time, 0…1, without a processor."""

    p50_ms: float
    p95_ms: float
    waited: float


def request_times(
    predict: Callable[[Images], object], images: Images, *, size: int = 1
) -> RequestTimes:
    """The times of 50 calls with `size` images each, after warming up.

    `predict` must compute in the thread that calls it. `images` uint8 (n, height, width), n at
    least 1, are repeated where they do not suffice.
    """
    needed = images[: REQUESTS * size]  # `resize` would copy them all
    requests = np.resize(needed, (REQUESTS, size, *images.shape[1:]))
    for request in requests[:WARM_UP_CALLS]:
        predict(request)
    start = thread_time()
    seconds = [timeit(partial(predict, request), number=1) for request in requests]
    worked = thread_time() - start
    p50, p95 = 1000 * np.percentile(seconds, [50, 95])
    return RequestTimes(float(p50), float(p95), 1 - min(1.0, worked / sum(seconds)))


def latencies(
    predict: Callable[[Images], object], images: Images, *, limit_ms: float
) -> dict[int, float]:
    """95th percentiles in ms, by the number of images in a request: 1 and 100.

    BusyError if that of 1 is over the limit while others use the processors, three times.
    """
    for _ in range(TRIES):
        single = request_times(predict, images)
        if single.p95_ms <= limit_ms or single.waited <= MOST_WAITED:
            return {1: single.p95_ms, 100: request_times(predict, images, size=100).p95_ms}
    raise BusyError(
        "promote.max_latency_ms: not measured, as this machine is busy: an image took "
        f"{single.p95_ms:.1f} ms, {100 * single.waited:.0f} % of it without a processor; at most "
        f"{limit_ms:g} ms is allowed; run it again when less runs here"
    )
