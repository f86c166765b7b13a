"""Answer single pictures with a registered model: a class, two that it may be, or unsure."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from imageproof.base._dataset import Images
from imageproof.base.errors import DataError
from imageproof.judge._explain import Heat, occlusion
from imageproof.judge.confidence import answer_sets, members, threshold, unsure
from imageproof.pictures._reading import read_pictures
from imageproof.registry._version import Version


class Answer(NamedTuple):
    file: str
    predicted: int
    probabilities: list[float]
    picture: str  # key of `pictures.TREATMENTS`
    answer_set: list[int]  # the most probable class first; see `judge.confidence`
    unsure: bool
    predicted_name: str
    answer_names: list[str]


def predict_pictures(
    paths: Sequence[Path],
    model: Version,
    coverage: float,
) -> tuple[list[Answer], Images]:
    """Answer each picture; also what the model sees of each."""
    if missing := [f"{path}: not found" for path in paths if not path.exists()]:
        raise DataError(*missing)
    pictures = read_pictures(paths, shape=model.files.shape, fit=model.fit)
    images = np.stack([image for image, _ in pictures])
    probabilities = model.predict(images)
    sets = answer_sets(probabilities, set_threshold(model, coverage))
    columns = (pictures, probabilities, members(probabilities, sets), unsure(sets).tolist())
    names = model.files.class_names
    answers = [
        Answer(
            file=str(path),
            predicted=int(row.argmax()),
            probabilities=row.tolist(),
            picture=treatment,
            answer_set=classes.tolist(),
            unsure=is_unsure,
            predicted_name=names[row.argmax()],
            answer_names=[names[label] for label in classes],
        )
        for path, (_, treatment), row, classes, is_unsure in zip(paths, *columns, strict=True)
    ]
    return answers, images


def explain(answers: Sequence[Answer], images: Images, model: Version) -> Heat:
    """What speaks for the answer in each image; see `occlusion`."""
    predicted = np.array([answer.predicted for answer in answers])
    return occlusion(model.predict, images, predicted)


def set_threshold(model: Version, coverage: float) -> float:
    return threshold(model.files.calibration.truth_probabilities, coverage)
