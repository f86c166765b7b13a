"""What a model says of single pictures."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from digits.data import Images
from digits.errors import DataError
from digits.images import read_digit


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
    images: list[Images] = []
    findings: list[str] = []
    for path in paths:
        try:
            images.append(read_digit(path, shape=shape))
        except DataError as error:
            findings.extend(error.findings)
    if findings:
        raise DataError(*findings)
    return np.stack(images)


def answers(paths: Sequence[Path], probabilities: np.ndarray) -> list[Answer]:
    """One answer per picture from probabilities float32 (n, classes)."""
    return [
        Answer(str(path), int(row.argmax()), [float(value) for value in row])
        for path, row in zip(paths, probabilities, strict=True)
    ]
