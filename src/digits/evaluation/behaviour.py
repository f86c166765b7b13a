"""How a model behaves in use: its accuracy on disturbed images, and how fast it answers.

Every disturbance takes and returns images uint8 (n, height, width), seeded, with a random
direction for each image. What moves in from outside is black (0).
"""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from timeit import repeat, timeit
from typing import Annotated

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from digits.toolkit.dataset import Dataset, Images, Predict, Probabilities
from digits.toolkit.files import StrictModel

SEED = 0
FRAGILE_LOSS = 0.1  # of accuracy, 0…1

REQUESTS = 50
BATCH_IMAGES = 512
BATCH_CALLS = 3
WARM_UP_CALLS = 3  # the first call of each shape compiles the graph

# SciPy takes a second to import: functions import it, so that params are read without it.

Shares = list[Annotated[float, Field(gt=0, le=1)]]


class BehaviourParams(StrictModel):
    """`behaviour:` in params.yaml."""

    shift: Shares
    rotate: list[Annotated[float, Field(gt=0, le=180)]]
    blur: Shares
    noise: Shares
    invert: bool


def shift(images: Images, amount: float) -> Images:
    """Move each image by a share of its size right, left, down or up, with equal probability."""
    from scipy import ndimage

    height, width = images.shape[1:]
    move = partial(ndimage.shift, order=1, prefilter=False)
    down, right = amount * height, amount * width
    steps = [(0, 0, right), (0, 0, -right), (0, down, 0), (0, -down, 0)]
    return _one_of(images, [partial(move, shift=step) for step in steps])


def rotate(images: Images, amount: float) -> Images:
    """Turn each image by so many degrees, either way."""
    from scipy import ndimage

    turn = partial(ndimage.rotate, axes=(1, 2), reshape=False, order=1, prefilter=False)
    return _one_of(images, [partial(turn, angle=angle) for angle in (amount, -amount)])


def blur(images: Images, amount: float) -> Images:
    """A Gaussian blur whose standard deviation is a share of the image's size."""
    from scipy import ndimage

    height, width = images.shape[1:]
    sigma = (0, amount * height, amount * width)
    return _grey(ndimage.gaussian_filter(images, sigma, output=np.float32, mode="constant"))


def add_noise(images: Images, amount: float) -> Images:
    """Noise whose standard deviation is a share of the brightest grey value."""
    noise = np.random.default_rng(SEED).standard_normal(images.shape, dtype=np.float32)
    return _grey(images + noise * (amount * float(images.max(initial=0))))


def invert(images: Images) -> Images:
    """Dark on bright instead of bright on dark: the brightest grey value minus each pixel."""
    return np.asarray(images.max(initial=0) - images, dtype=np.uint8)


def disturbances(params: BehaviourParams) -> dict[str, Callable[[Images], Images]]:
    """The functions that disturb images, by name: the key in params.yaml and the amount."""
    by_amount = {"shift": shift, "rotate": rotate, "blur": blur, "noise": add_noise}
    return {
        f"{key}_{amount:g}": partial(disturb, amount=amount)
        for key, disturb in by_amount.items()
        for amount in getattr(params, key)
    } | ({"invert": invert} if params.invert else {})


def words(name: str) -> str:
    """Words for images under the disturbance of this name, such as `shift_0.07`, or `clean`."""
    key, _, amount = name.partition("_")
    shares = {
        "shift": "shifted by {:.4g} % of their size",
        "blur": "blurred over {:.4g} % of their size",
        "noise": "with {:.4g} % of noise",
    }
    if key in shares:
        return shares[key].format(100 * float(amount))
    others = {"clean": "as they are", "invert": "with inverted contrast"}
    return f"rotated by ±{amount}°" if key == "rotate" else others.get(key, name)


def accuracy_under(
    predict: Predict, data: Dataset, params: BehaviourParams, *, clean: Probabilities
) -> dict[str, float]:
    """Accuracy 0…1 under each disturbance, and `clean`: that of the given probabilities."""
    answers = {"clean": clean}
    for name, disturb in disturbances(params).items():
        answers[name] = predict(disturb(data.images))
    return {k: float(np.mean(v.argmax(axis=1) == data.labels)) for k, v in answers.items()}


def fragile(accuracies: Mapping[str, float]) -> dict[str, float]:
    """The accuracy lost under each disturbance that costs more than 0.1, worst first."""
    losses = {name: accuracies["clean"] - accuracy for name, accuracy in accuracies.items()}
    worst_first = sorted(losses, key=lambda name: -losses[name])
    return {name: losses[name] for name in worst_first if losses[name] > FRAGILE_LOSS}


def fragile_line(model: str, accuracies: Mapping[str, float]) -> str | None:
    losses = ", ".join(
        f"by {100 * loss:.0f} points on images {words(name)}"
        for name, loss in fragile(accuracies).items()
    )
    return f"{model} is fragile: accuracy falls {losses}" if losses else None


def measure_latency(predict: Predict, images: Images) -> dict[str, float]:
    """`p50_ms p95_ms` of one image (see `request_times`), and `images_per_s` in batches of 512."""
    p50, p95 = request_times(predict, images)
    batch = np.resize(images, (BATCH_IMAGES, *images.shape[1:]))
    predict(batch)
    # other work on the machine can only slow it
    fastest = min(repeat(partial(predict, batch), number=1, repeat=BATCH_CALLS))
    return {"p50_ms": p50, "p95_ms": p95, "images_per_s": BATCH_IMAGES / fastest}


def request_times(
    predict: Callable[[Images], object], images: Images, *, size: int = 1
) -> tuple[float, float]:
    """Median and 95th percentile in ms of 50 calls with `size` images each, after warming up.

    `images` uint8 (n, height, width), n at least 1, are repeated where they do not suffice.
    """
    requests = np.resize(images, (REQUESTS, size, *images.shape[1:]))
    for request in requests[:WARM_UP_CALLS]:
        predict(request)
    seconds = [timeit(partial(predict, request), number=1) for request in requests]
    p50, p95 = np.percentile(seconds, [50, 95])
    return 1000 * float(p50), 1000 * float(p95)


def _one_of(images: Images, moves: Sequence[Callable[[Images], Images]]) -> Images:
    moved = np.zeros_like(images)
    drawn = np.random.default_rng(SEED).integers(len(moves), size=len(images))
    for number, move in enumerate(moves):
        moved[drawn == number] = move(images[drawn == number])
    return moved


def _grey(values: NDArray[np.float32]) -> Images:
    return np.asarray(np.clip(np.rint(values), 0, 255), dtype=np.uint8)
