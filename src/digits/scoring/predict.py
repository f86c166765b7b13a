"""Answer single pictures with a registered model: a class, two that it may be, or unsure."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from digits.evaluation.confidence import answer_sets, threshold, too_few_rows, unsure
from digits.registry.served import Served
from digits.scoring.pictures import read_pictures


class Answer(NamedTuple):
    """A picture's most probable class, and the probability of every class, 0…1.

    `picture` says how it became the model's input: a key of `pictures.TREATMENTS`. `answer_set`
    holds the classes that may be the true one, the most probable first, and `unsure` says that
    this is no answer; see `evaluation.confidence`. Both are None for versions without calibration.
    """

    file: str
    predicted: int
    probabilities: list[float]
    picture: str
    answer_set: list[int] | None
    unsure: bool | None


def predict_pictures(paths: Sequence[Path], model: Served, *, coverage: float) -> list[Answer]:
    """Predict the class of each picture; at least `coverage` of the answer sets hold the true one.

    Raises:
        DataError: one finding per picture that cannot be read or is blank.
    """
    pictures = read_pictures(paths, shape=model.files.shape, picture=model.picture)
    probabilities = model.predict(np.stack([converted.image for converted in pictures]))
    limit = set_threshold(model, coverage)
    return [
        Answer(
            str(path),
            int(row.argmax()),
            [float(value) for value in row],
            converted.treatment,
            *(_answer_set(row, limit) if limit is not None else (None, None)),
        )
        for path, converted, row in zip(paths, pictures, probabilities, strict=True)
    ]


def set_threshold(model: Served, coverage: float) -> float | None:
    """The probability from which a class is in an answer set; None without calibration."""
    calibration = model.files.calibration
    return threshold(calibration.truth_probabilities, coverage) if calibration else None


def few_rows(model: Served, coverage: float) -> list[str]:
    """A warning if every answer is unsure, since the version has too few validation rows."""
    calibration = model.files.calibration
    if not calibration:
        return []
    found = too_few_rows(len(calibration.truth_probabilities), coverage)
    return [found] if found else []


def _answer_set(row: np.ndarray, limit: float) -> tuple[list[int], bool]:
    """The classes of one answer set, the most probable first, and whether it is no answer."""
    sets = answer_sets(row[np.newaxis], limit)
    by_probability = np.argsort(-row, kind="stable")
    return by_probability[: sets.sum()].tolist(), bool(unsure(sets)[0])
