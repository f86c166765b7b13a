"""How a model behaves in use: its accuracy on disturbed images.

Every disturbance takes images uint8 (n, height, width) or (n, height, width, 3), and yields them
disturbed, in chunks of some megabytes: seeded, with a random direction for each image, whatever
the chunks. What moves in from outside is black (0).
"""

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from math import prod
from typing import Annotated

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from imageproof.base.dataset import Dataset, Images, Predict, Probabilities
from imageproof.base.files import StrictModel
from imageproof.base.inference import BATCH

SEED = 0
GRADES = (0.25, 0.5, 0.75, 1, 1.5, 2, 2.5, 3, 4)  # of the largest amount in params.yaml
CHUNK = 4 << 20  # bytes of images disturbed at a time; they take some ten times as much

# SciPy takes a second to import: functions import it, so that params are read without it.

Shares = list[Annotated[float, Field(gt=0, le=1)]]
Chunks = Iterator[Images]


class BehaviourParams(StrictModel):
    """`behaviour:` in params.yaml."""

    shift: Shares
    rotate: list[Annotated[float, Field(gt=0, le=180)]]
    blur: Shares
    noise: Shares
    invert: bool
    images: Annotated[int, Field(ge=1)]


def shift(images: Images, amount: float) -> Chunks:
    """Move each image by a share of its size right, left, down or up, with equal probability."""
    from scipy import ndimage

    height, width, *channels = images.shape[1:]
    move = partial(ndimage.shift, order=1, prefilter=False)
    down, right = amount * height, amount * width
    steps = [(0, 0, right), (0, 0, -right), (0, down, 0), (0, -down, 0)]
    still = (0,) * len(channels)
    return _one_of(images, [partial(move, shift=step + still) for step in steps])


def rotate(images: Images, amount: float) -> Chunks:
    """Turn each image by so many degrees, either way."""
    from scipy import ndimage

    turn = partial(ndimage.rotate, axes=(1, 2), reshape=False, order=1, prefilter=False)
    return _one_of(images, [partial(turn, angle=angle) for angle in (amount, -amount)])


def blur(images: Images, amount: float) -> Chunks:
    """A Gaussian blur whose standard deviation is a share of the image's size."""
    from scipy import ndimage

    height, width, *channels = images.shape[1:]
    sigma = (0, amount * height, amount * width, *(0 for _ in channels))
    for chunk in _chunks(images):
        yield _pixels(ndimage.gaussian_filter(chunk, sigma, output=np.float32, mode="constant"))


def add_noise(images: Images, amount: float) -> Chunks:
    """Noise whose standard deviation is a share of the brightest value of all images."""
    random, deviation = np.random.default_rng(SEED), amount * float(images.max(initial=0))
    for chunk in _chunks(images):
        noise = random.standard_normal(chunk.shape, dtype=np.float32)
        yield _pixels(chunk + noise * deviation)


def invert(images: Images) -> Chunks:
    """Dark on bright instead of bright on dark: the brightest value of all minus each value."""
    brightest = images.max(initial=0)
    for chunk in _chunks(images):
        yield np.asarray(brightest - chunk, dtype=np.uint8)


BY_AMOUNT = {"shift": shift, "rotate": rotate, "blur": blur, "noise": add_noise}


def disturbances(params: BehaviourParams) -> dict[str, Callable[[Images], Chunks]]:
    """The functions that disturb images, by name: the key in params.yaml and the amount."""
    return {
        f"{key}_{amount:g}": partial(disturb, amount=amount)
        for key, disturb in BY_AMOUNT.items()
        for amount in getattr(params, key)
    } | ({"invert": invert} if params.invert else {})


def graded(params: BehaviourParams) -> list[Callable[[Images], Chunks]]:
    """The same kinds of disturbance from hardly any to far more: see `GRADES`."""
    inverted: list[Callable[[Images], Chunks]] = [invert] if params.invert else []
    return inverted + [
        partial(disturb, amount=grade * max(amounts))
        for key, disturb in BY_AMOUNT.items()
        if (amounts := getattr(params, key))
        for grade in GRADES
    ]


def accuracy_under(
    predict: Predict, data: Dataset, params: BehaviourParams, *, clean: Probabilities
) -> dict[str, float]:
    """{disturbance: accuracy 0…1} on a sample of the rows of `data`.

    `clean` is undisturbed, `images` is the sample's size. The argument `clean` has the
    probabilities of all rows.
    """
    count = min(params.images, len(data))
    drawn = np.sort(np.random.default_rng(SEED).choice(len(data), count, replace=False))
    images, labels = data.images[drawn], data.labels[drawn]
    answers = {"clean": clean[drawn].argmax(axis=1)}
    for name, disturb in disturbances(params).items():
        answers[name] = np.concatenate([predict(chunk).argmax(axis=1) for chunk in disturb(images)])
    hits = {name: float(np.mean(found == labels)) for name, found in answers.items()}
    return {"images": float(count), **hits}


def _chunks(images: Images) -> Chunks:
    """The images in turn, at least once; in whole batches of a prediction, so that it is equal."""
    rows = max(1, CHUNK // (BATCH * prod(images.shape[1:]))) * BATCH
    for start in range(0, max(len(images), 1), rows):
        yield images[start : start + rows]


def _one_of(images: Images, moves: Sequence[Callable[[Images], Images]]) -> Chunks:
    random = np.random.default_rng(SEED)
    for chunk in _chunks(images):
        moved, drawn = np.zeros_like(chunk), random.integers(len(moves), size=len(chunk))
        for number, move in enumerate(moves):
            moved[drawn == number] = move(chunk[drawn == number])
        yield moved


def _pixels(values: NDArray[np.float32]) -> Images:
    return np.asarray(np.clip(np.rint(values), 0, 255), dtype=np.uint8)
