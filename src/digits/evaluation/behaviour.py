"""How a model behaves in use: its accuracy on perturbed images, and how fast it answers.

Every perturbation takes and returns images uint8 (n, height, width), seeded, with a random
direction for each image. What moves in from outside is black (0).
"""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from timeit import repeat, timeit
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from digits.core.dataset import Dataset, Images, Predict, Probabilities

SEED = 0
DIRECTIONS = ((0, 1), (0, -1), (1, 0), (-1, 0))  # right, left, down, up
NOISE_SHARE = 0.2  # standard deviation, as a share of the brightest grey value
FRAGILE_LOSS = 0.1  # of accuracy, 0…1

REQUESTS = 50
BATCH_IMAGES = 512
BATCH_CALLS = 3
WARM_UP_CALLS = 3  # the first call of each shape compiles the graph


def shift(images: Images, pixels: int) -> Images:
    """Move each image by whole pixels right, left, down or up, with equal probability."""
    move = partial(ndimage.shift, order=0, prefilter=False)
    steps = [(0, down * pixels, right * pixels) for down, right in DIRECTIONS]
    return _one_of(images, [partial(move, shift=step) for step in steps])


def rotate(images: Images, degrees: float) -> Images:
    turn = partial(ndimage.rotate, axes=(1, 2), reshape=False, order=1, prefilter=False)
    return _one_of(images, [partial(turn, angle=angle) for angle in (degrees, -degrees)])


def blur(images: Images) -> Images:
    sigma = (0, 1, 1)  # pixels
    return _grey(ndimage.gaussian_filter(images, sigma, output=np.float32, mode="constant"))


def add_noise(images: Images) -> Images:
    noise = np.random.default_rng(SEED).standard_normal(images.shape, dtype=np.float32)
    return _grey(images + noise * (NOISE_SHARE * float(images.max(initial=0))))


def invert(images: Images) -> Images:
    """Dark on bright instead of bright on dark: the brightest grey value minus each pixel."""
    return np.asarray(images.max(initial=0) - images, dtype=np.uint8)


class Perturbation(NamedTuple):
    """One way to perturb images: the words for a sentence, and the function."""

    words: str
    apply: Callable[[Images], Images]


PERTURBATIONS: Mapping[str, Perturbation] = {
    "shift_1px": Perturbation("shifted by 1 pixel", lambda images: shift(images, 1)),
    "shift_2px": Perturbation("shifted by 2 pixels", lambda images: shift(images, 2)),
    "rotate_5deg": Perturbation("rotated by ±5°", lambda images: rotate(images, 5)),
    "rotate_15deg": Perturbation("rotated by ±15°", lambda images: rotate(images, 15)),
    "blur": Perturbation("blurred", blur),
    "noise": Perturbation("with noise", add_noise),
    "inverted": Perturbation("with inverted contrast", invert),
}


def accuracy_under(predict: Predict, data: Dataset, *, clean: Probabilities) -> dict[str, float]:
    """Accuracy 0…1 under each perturbation, and `clean`: that of the given probabilities."""

    def accuracy(probabilities: Probabilities) -> float:
        return float(np.mean(probabilities.argmax(axis=1) == data.labels))

    return {"clean": accuracy(clean)} | {
        name: accuracy(predict(each.apply(data.images))) for name, each in PERTURBATIONS.items()
    }


def fragile(accuracies: Mapping[str, float]) -> dict[str, float]:
    """The accuracy lost under each perturbation that costs more than 0.1, worst first."""
    losses = {name: accuracies["clean"] - accuracy for name, accuracy in accuracies.items()}
    worst_first = sorted(losses, key=lambda name: -losses[name])
    return {name: losses[name] for name in worst_first if losses[name] > FRAGILE_LOSS}


def fragile_line(model: str, accuracies: Mapping[str, float]) -> str | None:
    """The verdict on a fragile model; None if it is not fragile."""
    losses = ", ".join(
        f"by {100 * loss:.0f} points on images {PERTURBATIONS[name].words}"
        for name, loss in fragile(accuracies).items()
    )
    return f"{model} is fragile: accuracy falls {losses}" if losses else None


def measure_latency(predict: Predict, images: Images) -> dict[str, float]:
    """`p50_ms p95_ms` of one image (see `request_times`), and `images_per_s` in batches of 512.

    The rate is that of the fastest of 3 calls, since other work on the machine can only slow it.
    """
    p50, p95 = request_times(predict, images)
    batch = np.resize(images, (BATCH_IMAGES, *images.shape[1:]))
    predict(batch)
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
