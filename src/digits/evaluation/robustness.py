"""Accuracy on perturbed images: shifted, rotated, blurred, noisy, inverted.

Every perturbation takes and returns images uint8 (n, height, width) of any size. It is seeded;
each image has its own random direction, so the accuracy averages over directions. What moves in
from outside is black (0).
"""

from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from digits.core.dataset import Dataset, Images, Labels, Predict, Probabilities

SEED = 0
DIRECTIONS = ((0, 1), (0, -1), (1, 0), (-1, 0))  # right, left, down, up
BLUR_SIGMA = 1.0  # pixels
NOISE_SHARE = 0.2  # standard deviation, as a share of the brightest grey value
FRAGILE_LOSS = 0.1  # of accuracy, 0…1

Perturb = Callable[[Images], Images]


class Perturbation(NamedTuple):
    """One way to perturb images: the words for a sentence, and the function."""

    words: str
    apply: Perturb


def shift(images: Images, pixels: int) -> Images:
    """Move each image by whole pixels right, left, down or up, with equal probability."""
    shifted = np.zeros_like(images)
    drawn = _draw(len(images), len(DIRECTIONS))
    for direction, (down, right) in enumerate(DIRECTIONS):
        rows = drawn == direction
        step = (0, down * pixels, right * pixels)
        shifted[rows] = ndimage.shift(images[rows], step, order=0, prefilter=False)
    return shifted


def rotate(images: Images, degrees: float) -> Images:
    """Rotate each image about its centre, in either direction, bilinearly."""
    rotated = np.zeros_like(images)
    drawn = _draw(len(images), 2)
    for side, angle in enumerate((degrees, -degrees)):
        rows = drawn == side
        rotated[rows] = ndimage.rotate(
            images[rows], angle, axes=(1, 2), reshape=False, order=1, prefilter=False
        )
    return rotated


def blur(images: Images) -> Images:
    """Gaussian blur, standard deviation 1 pixel."""
    sigma = (0, BLUR_SIGMA, BLUR_SIGMA)
    return _grey(ndimage.gaussian_filter(images, sigma, output=np.float32, mode="constant"))


def add_noise(images: Images) -> Images:
    """Add Gaussian noise whose standard deviation is 20 % of the brightest grey value."""
    noise = np.random.default_rng(SEED).standard_normal(images.shape, dtype=np.float32)
    return _grey(images + noise * (NOISE_SHARE * float(_brightest(images))))


def invert(images: Images) -> Images:
    """Dark on bright instead of bright on dark: the brightest grey value minus each pixel."""
    return np.asarray(_brightest(images) - images, dtype=np.uint8)


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
    """Accuracy 0…1 under each perturbation, and `clean` on the unchanged images.

    The argument `clean` holds the predictions for the unchanged images: float32 (n, classes).
    """
    accuracies = {"clean": _accuracy(clean, data.labels)}
    for name, perturbation in PERTURBATIONS.items():
        accuracies[name] = _accuracy(predict(perturbation.apply(data.images)), data.labels)
    return accuracies


def fragile(accuracies: Mapping[str, float]) -> dict[str, float]:
    """The accuracy lost under each perturbation that costs more than 0.1, worst first.

    `accuracies` is the result of `accuracy_under`.
    """
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


def _draw(rows: int, choices: int) -> Labels:
    return np.random.default_rng(SEED).integers(choices, size=rows)


def _brightest(images: Images) -> np.uint8:
    return np.uint8(images.max(initial=0))


def _grey(values: NDArray[np.float32]) -> Images:
    return np.asarray(np.clip(np.rint(values), 0, 255), dtype=np.uint8)


def _accuracy(probabilities: Probabilities, labels: Labels) -> float:
    return float(np.mean(probabilities.argmax(axis=1) == labels))
