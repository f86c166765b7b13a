"""How a model behaves in use: its accuracy on disturbed images.

Every disturbance takes images uint8 (n, height, width) or (n, height, width, 3), and yields them
disturbed, in chunks of some megabytes: seeded, with a random direction for each image, whatever
the chunks. What moves in from outside is black (0).
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from functools import partial
from math import prod
from typing import Annotated

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from imageproof.base._dataset import Dataset, Images, Predict, Probabilities
from imageproof.base._inference import BATCH
from imageproof.base.errors import DataError
from imageproof.base.files import StrictModel
from imageproof.judge._groups import clopper_pearson, independent

SEED = 0
CHUNK = 4 << 20  # bytes of images disturbed at a time; they take some ten times as much
COUNTS = "images", "effective_images"

# SciPy takes a second to import: functions import it, so that params are read without it.

Shares = list[Annotated[float, Field(gt=0, le=1)]]
Disturb = Callable[[Images], Iterator[Images]]


class BehaviourParams(StrictModel):
    """`behaviour:` in params.yaml."""

    shift: Shares
    rotate: list[Annotated[float, Field(gt=0, le=180)]]
    blur: Shares
    noise: Shares
    invert: bool
    images: Annotated[int, Field(ge=1)]


def shift(images: Images, amount: float) -> Iterator[Images]:
    """Move each image by a share of its size right, left, down or up, with equal probability."""
    from scipy import ndimage

    down, right = (amount * side for side in images.shape[1:3])
    steps = [(0, 0, right, 0), (0, 0, -right, 0), (0, down, 0, 0), (0, -down, 0, 0)]
    move = partial(ndimage.shift, order=1)
    return _one_of(images, [partial(move, shift=step[: images.ndim]) for step in steps])


def rotate(images: Images, amount: float) -> Iterator[Images]:
    """Turn each image by so many degrees, either way."""
    from scipy import ndimage

    turn = partial(ndimage.rotate, axes=(1, 2), reshape=False, order=1)
    return _one_of(images, [partial(turn, angle=angle) for angle in (amount, -amount)])


def blur(images: Images, amount: float) -> Iterator[Images]:
    """A Gaussian blur whose standard deviation is a share of the image's size."""
    from scipy.ndimage import gaussian_filter

    down, right = (amount * side for side in images.shape[1:3])
    sigma = (0, down, right, 0)[: images.ndim]
    for chunk in _chunks(images):
        yield _pixels(gaussian_filter(chunk, sigma, output=np.float32, mode="constant"))


def add_noise(images: Images, amount: float) -> Iterator[Images]:
    """Noise whose standard deviation is a share of the brightest value of all images."""
    random = np.random.default_rng(SEED)
    deviation = amount * float(images.max())
    for chunk in _chunks(images):
        noise = random.standard_normal(chunk.shape, dtype=np.float32)
        yield _pixels(chunk + noise * deviation)


def invert(images: Images) -> Iterator[Images]:
    """Dark on bright instead of bright on dark: the brightest value of all minus each value."""
    brightest = images.max()
    for chunk in _chunks(images):
        yield brightest - chunk


BY_AMOUNT = {"shift": shift, "rotate": rotate, "blur": blur, "noise": add_noise}


def disturbances(params: BehaviourParams) -> dict[str, Disturb]:
    """The functions that disturb images, by name: the key in params.yaml and the amount."""
    return {
        f"{key}_{amount:g}": partial(disturb, amount=amount)
        for key, disturb in BY_AMOUNT.items()
        for amount in getattr(params, key)
    } | ({"invert": invert} if params.invert else {})


def in_words(name: str) -> str:
    """Words for images under the disturbance of this name, such as `shift_0.07`, or `clean`."""
    amount = name.partition("_")[2]
    words = {"clean": "as they are", "invert": "with inverted contrast"}
    with suppress(ValueError):  # a project's own may be called `shift` or `noise_of_rain`
        share = f"{100 * float(amount):.4g} %"
        words |= {
            f"shift_{amount}": f"shifted by {share} of their size",
            f"rotate_{amount}": f"rotated by ±{amount}°",
            f"blur_{amount}": f"blurred over {share} of their size",
            f"noise_{amount}": f"with {share} of noise",
        }
    return words.get(name, f"disturbed by {name}")


def accuracy_under(
    predict: Predict,
    data: Dataset,
    disturb_by: Mapping[str, Disturb],
    *,
    images: int,
    clean: Probabilities,
) -> dict[str, float]:
    """The accuracy 0…1 under each disturbance, and `clean`, on a sample of at most `images` rows.

    `disturb_by` has the functions by name, as `disturbances` returns them; `clean` has the
    probabilities of all undisturbed rows of `data`. Two more keys of the result: `images` is the
    sample's size, `effective_images` how many independent images it is worth. If rows come in
    groups these are fewer, by the accuracy that differs most between groups.
    """
    count = min(images, len(data))
    rows = np.sort(np.random.default_rng(SEED).choice(len(data), count, replace=False))
    sample = data.take(rows)
    hits = {"clean": clean[rows].argmax(axis=1) == sample.labels}
    for name, disturb in disturb_by.items():
        answers = [predict(chunk).argmax(axis=1) for chunk in disturb(sample.images.copy())]
        predicted = np.concatenate(answers)
        if len(predicted) != count:  # of a project's own
            raise DataError(f"{name}: yields {len(predicted):,} of {count:,} images")
        hits[name] = predicted == sample.labels
    shares = [independent(right, sample.groups) for right in hits.values()]
    counts = {"images": float(count), "effective_images": min(shares) * count}
    return counts | {name: float(right.mean()) for name, right in hits.items()}


def accuracies(behaviour: Mapping[str, float]) -> dict[str, tuple[float, float, float]]:
    """Each accuracy that `accuracy_under` measured, with its exact 95 % interval.

    The interval is that of Clopper and Pearson (1934) on `effective_images`.
    """
    return {
        name: (share, *clopper_pearson(share, behaviour["effective_images"]))
        for name, share in behaviour.items()
        if name not in COUNTS
    }


def _chunks(images: Images) -> Iterator[Images]:
    """The images in chunks of whole batches: so a prediction does not depend on the chunks."""
    rows = max(1, CHUNK // (BATCH * prod(images.shape[1:]))) * BATCH
    for start in range(0, len(images), rows):
        yield images[start : start + rows]


def _one_of(images: Images, moves: Sequence[Callable[[Images], Images]]) -> Iterator[Images]:
    random = np.random.default_rng(SEED)
    for chunk in _chunks(images):
        moved = np.empty_like(chunk)
        numbers = random.integers(len(moves), size=len(chunk))
        for number, move in enumerate(moves):
            moved[numbers == number] = move(chunk[numbers == number])
        yield moved


def _pixels(values: NDArray[np.float32]) -> Images:
    return np.clip(np.rint(values), 0, 255).astype(np.uint8)
