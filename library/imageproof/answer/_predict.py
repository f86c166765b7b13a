"""Answer single pictures with a registered model: a class, two that it may be, or unsure."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from imageproof.base._class_names import class_numbers
from imageproof.base._dataset import Images
from imageproof.judge._explain import Heat, occlusion
from imageproof.judge.confidence import answer_sets, members, threshold, unsure
from imageproof.pictures._reading import read_pictures
from imageproof.project import Project
from imageproof.registry._version import Version


class Answer(NamedTuple):
    file: str
    predicted: int
    probabilities: list[float]
    picture: str  # key of `pictures.TREATMENTS`
    answer_set: list[int]  # the most probable class first; see `judge.confidence`
    unsure: bool


def predict_pictures(
    paths: Sequence[Path],
    model: Version,
    *,
    coverage: float,
) -> list[Answer]:
    """Answer each picture; `coverage` of the answer sets hold the true class."""
    images, treatments = _read(paths, model)
    probabilities = model.predict(images)
    sets = answer_sets(probabilities, set_threshold(model, coverage))
    columns = (treatments, probabilities, members(probabilities, sets), unsure(sets).tolist())
    return [
        Answer(
            file=str(path),
            predicted=int(row.argmax()),
            probabilities=row.tolist(),
            picture=treatment,
            answer_set=classes.tolist(),
            unsure=is_unsure,
        )
        for path, treatment, row, classes, is_unsure in zip(paths, *columns, strict=True)
    ]


def explained(answers: Sequence[Answer], model: Version) -> tuple[Images, Heat]:
    """The model's input of each answer, and what speaks for the answer; see `occlusion`."""
    images, _ = _read([Path(answer.file) for answer in answers], model)
    predicted = np.array([answer.predicted for answer in answers])
    return images, occlusion(model.predict, images, predicted)


def _read(paths: Sequence[Path], model: Version) -> tuple[Images, list[str]]:
    pictures = read_pictures(paths, shape=model.files.shape, fit=model.fit)
    images = np.stack([image for image, _ in pictures])
    return images, [treatment for _, treatment in pictures]


def class_names(model: Version, project: Project) -> list[str] | None:
    """The names that a model was logged with; if it had none, those in params.yaml if they fit."""
    names = numbered_names(model, project)
    return None if names == class_numbers(model.files.classes) else names


def numbered_names(model: Version, project: Project) -> list[str]:
    """The classes' names; their numbers if they have none."""
    numbers = class_numbers(model.files.classes)
    candidates = (model.files.class_names, project.data.class_names or [])
    fitting = (names for names in candidates if len(names) == len(numbers) and names != numbers)
    return next(fitting, numbers)


def set_threshold(model: Version, coverage: float) -> float:
    return threshold(model.files.calibration.truth_probabilities, coverage)
