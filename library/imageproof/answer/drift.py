"""Drift of images from the data that a registered model was trained on."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from math import prod
from pathlib import Path
from typing import Any, Literal

import mlflow
import numpy as np
import pandas as pd

from imageproof.answer.predict import class_names
from imageproof.artifacts import WORKSPACE
from imageproof.base.dataset import Dataset, Images, Shape
from imageproof.base.files import md5
from imageproof.base.naming import project_name
from imageproof.data.findings import SHOWN_ROWS, ExpectedRange, finding
from imageproof.judge.confidence import no_answer, too_few_rows
from imageproof.judge.drift import Comparison, Drift, compare_counts, compare_values, judge
from imageproof.mlflow import runs
from imageproof.project import Project
from imageproof.registry.served import Served
from imageproof.system import events

SAMPLE = 2000  # images whose features are compared; more would find smaller effects than count
SAMPLE_BYTES = 100_000_000  # of large images fewer are compared


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What is said of the answers of a version."""

    model: str
    rows: int
    class_names: list[str]  # numbers without names
    class_counts: list[int]
    unsure: float  # share of rows whose answer set cannot be used
    warnings: list[str]
    drift: list[Drift]
    drifted: list[str]  # names of what drifted


def image_stats(images: Images) -> dict[str, np.ndarray]:
    """Per image mean_ink float32 (mean of its values) and contrast uint8 (maximum - minimum)."""
    pixels = (*range(1, images.ndim),)
    mean_ink = images.mean(axis=pixels, dtype=np.float32)
    return {"mean_ink": mean_ink, "contrast": np.ptp(images, axis=pixels)}


class Sample:
    """A random sample of a stream of images: those with the smallest random keys."""

    def __init__(self, shape: Shape) -> None:
        self.images: Images = np.empty((0, *shape), np.uint8)
        self._keys = np.empty(0)
        self._size = max(2, min(SAMPLE, SAMPLE_BYTES // prod(shape)))
        self._random = np.random.default_rng(0)

    def add(self, images: Images) -> None:
        keys = np.concatenate([self._keys, self._random.random(len(images))])
        chosen = np.argsort(keys)[: self._size]
        self.images = np.concatenate([self.images, images])[chosen]
        self._keys = keys[chosen]


def summarise(
    answers: pd.DataFrame, model: Served, project: Project, more: Sequence[Comparison] = ()
) -> dict[str, Any]:
    """The fields of `Found`; the training split is compared if it is here, `more` is added.

    `answers` has `predicted`, `set_size` and the columns of `image_stats`, by the images' names.
    """
    classes, least = model.files.classes, project.drift.min_effect
    counts = np.bincount(answers["predicted"], minlength=classes)
    comparisons: list[Comparison] = []
    if train := split_of(model, "train"):
        for key, known in image_stats(train.images).items():
            comparisons.append(compare_values(key, answers[key].to_numpy(), known, least))
        of_train = np.bincount(train.labels, minlength=classes)
        comparisons.append(compare_counts("class_shares", counts, of_train, least))
    drift = judge([*comparisons, *more], project.drift.level)
    rows = len(model.files.calibration.truth_probabilities)
    few = too_few_rows(rows, project.confidence.coverage)
    return {
        "model": model.origin.uri,
        "rows": len(answers),
        "class_names": class_names(model, project) or [*map(str, range(classes))],
        "class_counts": counts.tolist(),
        "unsure": float(no_answer(answers["set_size"].to_numpy(), classes).mean()),
        "warnings": [*_unusual(answers, project.expected_ranges), *filter(None, [few])],
        "drift": drift,
        "drifted": [each.name for each in drift if each.drifted],
    }


def record(
    result: Found,
    command: Literal["score", "monitor"],
    project: Project,
    *,
    settings: Mapping[str, str],
    metrics: Mapping[str, float],
    files: Sequence[Path] = (),
) -> None:
    """Log a result as an MLflow run, and send `<project>.drift` to Prefect if there is any."""
    drifted = ", ".join(result.drifted)
    found = {"rows": result.rows, "unsure": result.unsure, **metrics}
    found |= {f"drift_{each.name}_effect": each.effect for each in result.drift}
    found |= {f"drift_{each.name}_p_value": each.p_value for each in result.drift}
    with runs.active_run(
        command,
        what=f"Answers of {result.model}, by `{project_name()} {command}`.",
        experiment=project.part("scoring" if command == "score" else "monitoring"),
        params=settings,
        tags={"answered_by": result.model, "drifted": drifted},
    ):
        runs.log_metrics(found)
        for file in files:
            mlflow.log_artifact(str(file))
    if drifted:
        resource = {
            "prefect.resource.id": f"{project.name}.{command}",
            f"{project_name()}.drifted": drifted,
        }
        events.emit(f"{project.name}.drift", resource, asdict(result))


def _unusual(answers: pd.DataFrame, usual: Sequence[ExpectedRange]) -> list[str]:
    warnings = []
    for column, low, high, words in usual:
        values = answers[column].astype(float).round(2)  # as when data are validated
        odd = values[~values.between(low, high)]
        if len(odd):
            first = odd.head(SHOWN_ROWS).items()
            examples = [(k if isinstance(k, str) else f"row {k}", value) for k, value in first]
            warnings.append(finding("input", "row", words, len(odd), examples))
    return warnings


def split_of(model: Served, name: str) -> Dataset | None:
    """A local split, if it is the one that the model was made with."""
    path = WORKSPACE.split(name)
    is_own = path.exists() and md5(path) == model.origin.splits.get(name)
    return WORKSPACE.read_split(name).data if is_own else None
