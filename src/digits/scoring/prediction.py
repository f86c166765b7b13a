"""What a model says of single pictures."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple, TypeVar

import numpy as np

from digits.core.dataset import Picture
from digits.core.errors import DataError
from digits.scoring.pictures import Read, open_picture, read_picture

T = TypeVar("T")


class Answer(NamedTuple):
    """One picture's most probable class, and the probability of every class, 0…1.

    `picture` says how it became the model's input: a key of `images.TREATMENTS`.
    """

    file: str
    predicted: int
    probabilities: list[float]
    picture: str


def read_pictures(paths: Sequence[Path], *, shape: tuple[int, int], picture: Picture) -> list[Read]:
    """All pictures in the form that a model takes; see `images.read_picture`.

    Raises:
        DataError: one finding per picture that cannot be read.
    """
    return _each(paths, lambda path: read_picture(path, shape=shape, picture=picture))


def check_pictures(paths: Sequence[Path]) -> None:
    """Find what cannot be read before a model is loaded, which takes seconds.

    Raises:
        DataError: one finding per picture.
    """
    _each(paths, lambda path: open_picture(path).size)  # not the pictures, which may be large


def _each(paths: Sequence[Path], read: Callable[[Path], T]) -> list[T]:
    results: list[T] = []
    findings: list[str] = []
    for path in paths:
        try:
            results.append(read(path))
        except DataError as error:
            findings.extend(error.findings)
    if findings:
        raise DataError(*findings)
    return results


def answers(
    paths: Sequence[Path], pictures: Sequence[Read], probabilities: np.ndarray
) -> list[Answer]:
    """One answer per picture from probabilities float32 (n, classes)."""
    return [
        Answer(str(path), int(row.argmax()), [float(value) for value in row], read.treatment)
        for path, read, row in zip(paths, pictures, probabilities, strict=True)
    ]
