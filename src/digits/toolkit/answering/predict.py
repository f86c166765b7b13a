"""Answer single pictures with a registered model: a class, two that it may be, or unsure."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from digits.toolkit.judgement.confidence import answer_sets, threshold, unsure
from digits.toolkit.pictures import read_pictures
from digits.toolkit.project import Project
from digits.toolkit.registry.served import Served


class Answer(NamedTuple):
    file: str
    predicted: int
    probabilities: list[float]
    picture: str  # key of `pictures.TREATMENTS`
    answer_set: list[int]  # the most probable class first; see `evaluation.confidence`
    unsure: bool


def predict_pictures(paths: Sequence[Path], model: Served, *, coverage: float) -> list[Answer]:
    """Answer each picture; `coverage` of the answer sets hold the true class."""
    pictures = read_pictures(paths, shape=model.files.shape, fit=model.fit)
    probabilities = model.predict(np.stack([image for image, _ in pictures]))
    sets = answer_sets(probabilities, set_threshold(model, coverage))
    ranked, sizes = np.argsort(-probabilities, axis=1, kind="stable").tolist(), sets.sum(axis=1)
    rows = zip(paths, pictures, probabilities.tolist(), ranked, sizes, unsure(sets), strict=True)
    return [
        Answer(str(path), order[0], row, treatment, order[:size], bool(is_unsure))
        for path, (_, treatment), row, order, size, is_unsure in rows
    ]


def class_names(model: Served, project: Project) -> list[str] | None:
    """The names that a model was logged with; if it had none, those in params.yaml if they fit."""
    numbers = [*map(str, range(model.files.classes))]
    for names in (model.files.class_names, project.data.class_names):
        if names and len(names) == len(numbers) and names != numbers:
            return names
    return None


def set_threshold(model: Served, coverage: float) -> float:
    return threshold(model.files.calibration.truth_probabilities, coverage)
