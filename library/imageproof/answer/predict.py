"""Answer single pictures with a registered model: a class, two that it may be, or unsure."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from imageproof.base.dataset import Images
from imageproof.base.errors import UsageError
from imageproof.judge.confidence import answer_sets, threshold, unsure
from imageproof.judge.explain import Heat, occlusion
from imageproof.pictures.reading import read_pictures
from imageproof.project import Project
from imageproof.registry.served import Served

MOST = 60  # pictures explained at a time


class Answer(NamedTuple):
    file: str
    predicted: int
    probabilities: list[float]
    picture: str  # key of `pictures.TREATMENTS`
    answer_set: list[int]  # the most probable class first; see `judgement.confidence`
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


def explained(answers: Sequence[Answer], model: Served) -> tuple[Images, Heat]:
    """The model's input of each answer, and what speaks for the answer; see `occlusion`.

    A UsageError if the answers are over MOST.
    """
    if len(answers) > MOST:
        raise UsageError(f"--explain: {len(answers):,} pictures; at most {MOST} are allowed")
    paths = [Path(answer.file) for answer in answers]
    read = read_pictures(paths, shape=model.files.shape, fit=model.fit)
    images = np.stack([image for image, _ in read])
    chosen = np.array([answer.predicted for answer in answers])
    return images, occlusion(model.predict, images, chosen)


def class_names(model: Served, project: Project) -> list[str] | None:
    """The names that a model was logged with; if it had none, those in params.yaml if they fit."""
    numbers = [*map(str, range(model.files.classes))]
    for names in (model.files.class_names, project.data.class_names):
        if names and len(names) == len(numbers) and names != numbers:
            return names
    return None


def set_threshold(model: Served, coverage: float) -> float:
    return threshold(model.files.calibration.truth_probabilities, coverage)
