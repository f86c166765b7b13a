"""How a model behaves in use: its accuracy on disturbed images.

Every disturbance takes and returns images uint8 (n, height, width), seeded, with a random
direction for each image. What moves in from outside is black (0).
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Annotated

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from digits.toolkit.dataset import Dataset, Images, Predict, Probabilities
from digits.toolkit.files import StrictModel

SEED = 0

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


def accuracy_under(
    predict: Predict, data: Dataset, params: BehaviourParams, *, clean: Probabilities
) -> dict[str, float]:
    """Accuracy 0…1 under each disturbance, and `clean`: that of the given probabilities."""
    disturbed = {k: predict(disturb(data.images)) for k, disturb in disturbances(params).items()}
    answers = {"clean": clean, **disturbed}
    return {k: float(np.mean(v.argmax(axis=1) == data.labels)) for k, v in answers.items()}


def _one_of(images: Images, moves: Sequence[Callable[[Images], Images]]) -> Images:
    moved = np.zeros_like(images)
    drawn = np.random.default_rng(SEED).integers(len(moves), size=len(images))
    for number, move in enumerate(moves):
        moved[drawn == number] = move(images[drawn == number])
    return moved


def _grey(values: NDArray[np.float32]) -> Images:
    return np.asarray(np.clip(np.rint(values), 0, 255), dtype=np.uint8)
