"""What a model says of single pictures."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple, TypeVar

import numpy as np

from digits.data import Images
from digits.errors import DataError
from digits.images import read_digit, read_grey

T = TypeVar("T")


class Answer(NamedTuple):
    """One picture's most probable class, and the probability of every class, 0…1."""

    file: str
    predicted: int
    probabilities: list[float]


def read_digits(paths: Sequence[Path], *, shape: tuple[int, int]) -> Images:
    """All pictures in MNIST's form, uint8 (n, height, width); see `images.read_digit`.

    Raises:
        DataError: one finding per picture that cannot be read.
    """
    return np.stack(_each(paths, lambda path: read_digit(path, shape=shape)))


def check_pictures(paths: Sequence[Path]) -> None:
    """Find what cannot be read before a model is loaded, which takes seconds.

    Raises:
        DataError: one finding per picture.
    """
    _each(paths, lambda path: read_grey(path).shape)  # not the pictures, which may be large


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


def answers(paths: Sequence[Path], probabilities: np.ndarray) -> list[Answer]:
    """One answer per picture from probabilities float32 (n, classes)."""
    return [
        Answer(str(path), int(row.argmax()), [float(value) for value in row])
        for path, row in zip(paths, probabilities, strict=True)
    ]
