"""How fast a model answers, and which training times can be compared."""

from collections.abc import Callable, Mapping
from functools import partial
from time import thread_time
from timeit import repeat, timeit
from typing import NamedTuple

import numpy as np

from imageproof.base._dataset import Images, Predict
from imageproof.base._inference import affordable
from imageproof.base.errors import BusyError
from imageproof.judge._verdicts import beside

# A training time cannot be compared if other processes used this many of its cores or more.
SHARED_CORES = 0.2

REQUESTS = 50
BATCH_IMAGES, FEW_IMAGES = 512, 64  # few of a slow network
FEW_REQUESTS = 5
# A latency says nothing if requests waited for a processor for more than this share of their time.
MOST_WAITED = 0.1
TRIES = 3  # to measure it
WARM_UP_CALLS = 3  # the first call of each shape compiles the graph


class Training(NamedTuple):
    """A training's time in s, how many of its cores others used on average, and its processor."""

    elapsed_s: float
    shared_cores: float
    cpu: str


def comparable_times(
    trainings: Mapping[str, Training],
) -> tuple[dict[str, float | None], list[str]]:
    """The time of each training in s, by name, None if it cannot be compared; and the reasons."""
    times: dict[str, float | None] = dict.fromkeys(trainings)
    processors = {name: t.cpu or "an unknown one" for name, t in trainings.items()}
    if len({*processors.values()}) > 1:
        names = ", ".join(f"{name} on {processor}" for name, processor in processors.items())
        return times, [f"training times cannot be compared, as processors differ: {names}"]
    reasons = []
    for name, training in trainings.items():
        if training.shared_cores < SHARED_CORES:
            times[name] = training.elapsed_s
        else:
            reasons.append(
                f"{name}'s training time cannot be compared: other processes used "
                f"{training.shared_cores:.1f} of its cores meanwhile"
            )
    return times, reasons


def measure_latency(predict: Predict, images: Images) -> dict[str, float]:
    """`p50_ms p95_ms` of one image (see `request_times`), and `images_per_s` in batches of 512.

    Of a network that takes over 2 ms for an image, in batches of 64.
    """
    p50, p95, _ = request_times(predict, images)
    count = affordable(predict, images, BATCH_IMAGES, FEW_IMAGES)
    batch = np.resize(images[:count], (count, *images.shape[1:]))
    predict(batch)
    # other work on the machine can only slow it
    fastest = min(repeat(partial(predict, batch), number=1, repeat=3))
    return {"p50_ms": p50, "p95_ms": p95, "images_per_s": count / fastest}


def request_times(
    predict: Callable[[Images], object],
    images: Images,
    *,
    size: int = 1,
    requests: int = REQUESTS,
) -> tuple[float, float, float]:
    """Median and 95th percentile in ms, and the share of the time, 0…1, without a processor.

    They are of so many calls with `size` images each, after warming up.

    `predict` must compute in the thread that calls it. `images` uint8 (n, height, width), n at
    least 1, are repeated where they do not suffice.
    """
    first = images[: requests * size]  # `resize` would copy them all
    batches = np.resize(first, (requests, size, *images.shape[1:]))
    for batch in batches[:WARM_UP_CALLS]:
        predict(batch)
    start = thread_time()
    seconds = [timeit(partial(predict, batch), number=1) for batch in batches]
    worked = thread_time() - start
    p50, p95 = 1000 * np.percentile(seconds, [50, 95])
    return float(p50), float(p95), 1 - min(1.0, worked / sum(seconds))


def latencies(
    predict: Callable[[Images], object], images: Images, *, limit_ms: float
) -> dict[int, float]:
    """95th percentiles of the time for a request in ms, by its number of images: 1 and 100.

    A network that takes over 2 ms for an image gets 5 requests of 100 images, others get 50.
    BusyError if one image takes longer than the limit in TRIES attempts, while others use the
    processors.
    """
    for _ in range(TRIES):
        _, single, waited = request_times(predict, images)
        if single <= limit_ms or waited <= MOST_WAITED:
            count = affordable(predict, images, REQUESTS, FEW_REQUESTS)
            _, hundred, _ = request_times(predict, images, size=100, requests=count)
            return {1: single, 100: hundred}
    raise BusyError(
        "promote.max_latency_ms: not measured, as this machine is busy: an image took "
        f"{beside(single, limit_ms, 1)} ms, {100 * waited:.0f} % of it without a processor; "
        f"at most {limit_ms:g} ms is allowed; run it again when less runs here"
    )
