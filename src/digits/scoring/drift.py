"""Drift of images from the data that a registered model was trained on."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
import pandas as pd

from digits.core import events
from digits.core.artifacts import read_split, split_path
from digits.core.dataset import Dataset, Images
from digits.core.files import md5
from digits.data.validation.validate import SHOWN_ROWS, ValidateParams, finding, usual_ranges
from digits.evaluation.confidence import no_answer, too_few_rows
from digits.evaluation.drift import (
    Comparison,
    Distances,
    Drift,
    KnownFeatures,
    compare_counts,
    compare_values,
    judge,
)
from digits.params import Params, ProjectParams
from digits.registry.served import Served
from digits.tracking import runs

SAMPLE = 2000  # images whose features are compared; more would find smaller effects than count
KNOWN = 6000  # validation rows that they are compared with
SEED = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What is said of the answers of a version, `model`.

    `unsure` is the share of rows whose answer set cannot be used. `drifted` names statistics that
    no longer look like those of the training data.
    """

    model: str
    rows: int
    class_counts: list[int]
    unsure: float
    warnings: list[str]
    drift: list[Drift]
    drifted: list[str]


def image_stats(images: Images) -> dict[str, np.ndarray]:
    """Per image mean_ink float32 (mean grey value) and contrast uint8 (maximum - minimum)."""
    mean_ink = images.mean(axis=(1, 2), dtype=np.float32)
    return {"mean_ink": mean_ink, "contrast": np.ptp(images, axis=(1, 2))}


class Sample:
    """A random sample of a stream of images: at most 2,000, uint8 (n, height, width)."""

    def __init__(self) -> None:
        self.images: Images = np.empty((0, 0, 0), np.uint8)
        self._keys = np.empty(0)
        self._random = np.random.default_rng(SEED)

    def add(self, images: Images) -> None:
        """Draw from a batch: of all images so far, those with the smallest random keys stay."""
        keys = np.concatenate([self._keys, self._random.random(len(images))])
        chosen = np.argsort(keys)[:SAMPLE]
        known = self.images.reshape(-1, *images.shape[1:])
        self.images, self._keys = np.concatenate([known, images])[chosen], keys[chosen]


class FeatureDrift(NamedTuple):
    """The known features, and how foreign each image of a sample is."""

    known: KnownFeatures
    distances: Distances


def feature_drift(sample: Images, model: Served) -> FeatureDrift | None:
    """How foreign images are to a model; None without its validation split."""
    validation = _split_of(model, "validation")
    if validation is None:
        return None
    features = model.files.load_features(threads=model.threads)
    chosen = np.random.default_rng(SEED).permutation(len(validation))[:KNOWN]
    known = KnownFeatures(features(validation.images[chosen]))
    return FeatureDrift(known, known.distances(features(sample)))


def summarise(
    answers: pd.DataFrame, model: Served, params: Params, more: Sequence[Comparison] = ()
) -> dict[str, Any]:
    """The fields of `Found`.

    `answers` has the columns `predicted`, `set_size` and those of `image_stats`, and the images'
    names as index. Images and predicted classes are compared with the training split, if it is
    here; `more` are further comparisons.
    """
    classes = model.files.classes
    counts = np.bincount(answers["predicted"], minlength=classes)
    least, comparisons = params.drift.min_effect, []
    if train := _split_of(model, "train"):
        for key, known in image_stats(train.images).items():
            new = answers[key].to_numpy()
            comparisons.append(compare_values(key, new, known, least))
        of_train = np.bincount(train.labels, minlength=classes)
        comparisons.append(compare_counts("class_shares", counts, of_train, least))
    drift = judge([*comparisons, *more], params.drift.level)
    validation_rows = len(model.files.calibration.truth_probabilities)
    few = too_few_rows(validation_rows, params.confidence.coverage)
    return {
        "model": model.origin.uri,
        "rows": len(answers),
        "class_counts": counts.tolist(),
        "unsure": float(no_answer(answers["set_size"].to_numpy(), classes).mean()),
        "warnings": [*_unusual(answers, params.validation), *filter(None, [few])],
        "drift": drift,
        "drifted": [each.name for each in drift if each.drifted],
    }


def record(
    result: Found,
    command: Literal["score", "monitor"],
    project: ProjectParams,
    *,
    settings: Mapping[str, str],
    metrics: Mapping[str, float],
    files: Sequence[Path] = (),
) -> None:
    """Log a result as an MLflow run, and send `<project>.drift` to Prefect if there is any."""
    drifted = ", ".join(result.drifted)
    effects = {f"drift_{each.name}_effect": each.effect for each in result.drift}
    p_values = {f"drift_{each.name}_p_value": each.p_value for each in result.drift}
    what = f"Answers of {result.model}, by `digits {command}`."
    with runs.active_run(
        command,
        what=what,
        experiment=project.part("scoring" if command == "score" else "monitoring"),
        params=settings,
        tags={"answered_by": result.model, "drifted": drifted},
    ):
        own = {"rows": result.rows, "unsure": result.unsure}
        runs.log_metrics({**own, **effects, **p_values, **metrics})
        runs.log_files(files)
    if drifted:
        resource = {"prefect.resource.id": f"{project.name}.{command}", "digits.drifted": drifted}
        events.emit(f"{project.name}.drift", resource, asdict(result))


def _unusual(answers: pd.DataFrame, params: ValidateParams) -> list[str]:
    """The warnings that validation would have for these images."""
    warnings = []
    for column, low, high, words in usual_ranges(params):
        values = answers[column].to_numpy(np.float64).round(2)  # as when data are validated
        rows = np.flatnonzero((values < low) | (values > high))
        examples = [(answers.index[row], values[row].item()) for row in rows[:SHOWN_ROWS]]
        if len(rows):
            warnings.append(finding("input", "row", words, len(rows), examples))
    return warnings


def _split_of(model: Served, name: str) -> Dataset | None:
    """A local split, if it is the one that the model was made with."""
    path = split_path(name)
    if not path.exists() or md5(path) != model.origin.splits.get(name):
        return None
    return read_split(name).data
