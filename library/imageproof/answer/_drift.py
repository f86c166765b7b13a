"""Drift of images from the data that a registered model was trained on."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from math import prod
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from imageproof.artifacts import WORKSPACE
from imageproof.base._dataset import Dataset, Images, Labels, Shape
from imageproof.base._inference import load_features
from imageproof.base.files import md5, scratch
from imageproof.base.text import first_names
from imageproof.judge._confusion import read_matrix
from imageproof.judge.confidence import is_unusable, too_few_rows
from imageproof.judge.drift import (
    Comparison,
    Drift,
    KnownFeatures,
    compare_counts,
    compare_values,
    judge,
)
from imageproof.project import Project
from imageproof.registry._model_files import GoneError, download
from imageproof.registry._version import Version

SAMPLE = 2000  # images whose features are compared; more would find smaller effects than count
KNOWN = 3000  # rows of a split whose features are compared with
SAMPLE_BYTES = 100_000_000  # of large images fewer are compared
NOT_FITTED = "validation", "holdout"
SPLITS = "train", *NOT_FITTED  # that images are compared with
ACCURACY = "accuracy"  # the only comparison that is not of images

Splits = Mapping[str, Dataset]


class FeatureDrift(NamedTuple):
    """How the features of a sample compare with known ones; see `KnownFeatures`."""

    comparisons: list[Comparison]
    far: float | None  # share farther from all known images than 95 % of those from each other
    farthest: list[Images]


def image_stats(images: Images) -> dict[str, np.ndarray]:
    """Per image mean_ink float32 (mean of its values) and contrast uint8 (maximum - minimum)."""
    axes = (*range(1, images.ndim),)
    mean_ink = images.mean(axis=axes, dtype=np.float32)
    return {"mean_ink": mean_ink, "contrast": np.ptp(images, axis=axes)}


class Sample:
    """A random sample of a stream of images: those with the smallest random keys."""

    def __init__(self, shape: Shape) -> None:
        self.images: Images = np.empty((0, *shape), np.uint8)
        self._keys = np.empty(0)
        self._size = max(2, min(SAMPLE, SAMPLE_BYTES // prod(shape)))
        self._random = np.random.default_rng(0)

    def add(self, images: Images) -> None:
        keys = np.concatenate([self._keys, self._random.random(len(images))])
        rows = np.argsort(keys)[: self._size]
        self.images = np.concatenate([self.images, images])[rows]
        self._keys = keys[rows]


def splits_of(model: Version) -> Splits:
    """The local splits, by name, that are those which the model was made with."""
    return {
        name: WORKSPACE.read_split(name).data
        for name in SPLITS
        if (path := WORKSPACE.split(name)).exists() and md5(path) == model.origin.splits.get(name)
    }


def summarise(
    answers: pd.DataFrame,
    sample: Images,
    model: Version,
    project: Project,
    splits: Splits,
    comparisons: Sequence[Comparison],
) -> dict[str, Any]:
    """Fields of a `MonitorResult`; the training split is compared, too, if it is here.

    `answers` has `predicted`, `set_size` and the columns of `image_stats`; `sample` is some of
    their images.
    """
    classes = model.files.classes
    counts = np.bincount(answers["predicted"], minlength=classes)
    if train := splits.get("train"):
        comparisons = [*_compare_with(train, answers, counts, model, project), *comparisons]
    drift = judge(comparisons, project.drift.level)
    drifted = [comparison.name for comparison in drift if comparison.drifted]
    warnings = _split_warnings(splits)
    expected = None
    if are_images_compared(drift) and not warnings and not drifted:
        expected = float(model.predict(sample).max(axis=1).mean())
    rows = len(model.files.calibration.truth_probabilities)
    if too_few := too_few_rows(rows, project.confidence.coverage):
        warnings.append(too_few)
    return {
        "model": model.origin.uri,
        "rows": len(answers),
        "class_names": model.files.class_names,
        "class_counts": counts.tolist(),
        "unsure": float(is_unusable(answers["set_size"].to_numpy(), classes).mean()),
        "warnings": warnings,
        "drift": drift,
        "drifted": drifted,
        "expected": expected,
    }


def _compare_with(
    train: Dataset,
    answers: pd.DataFrame,
    counts: np.ndarray,
    model: Version,
    project: Project,
) -> list[Comparison]:
    min_effect = project.drift.min_effect
    comparisons = [
        compare_values(column, answers[column].to_numpy(), values, min_effect)
        for column, values in image_stats(train.images).items()
    ]
    if (holdout_counts := _holdout_counts(model)) is not None:
        comparisons.append(compare_counts("class_shares", counts, holdout_counts, min_effect))
    return comparisons


def _holdout_counts(model: Version) -> Labels | None:
    """How many hold-out rows the model called by each class; None if its run does not say.

    Labels are no measure: a model that is often wrong calls some classes too often.
    """
    name = WORKSPACE.evaluated("any").matrices["holdout"].name
    with scratch() as folder, suppress(GoneError):
        matrix, _ = read_matrix(download(f"runs:/{model.origin.run_id}/{name}", folder))
        return np.asarray(matrix.sum(axis=1))
    return None


def compare_with_known(
    sample: Images,
    model: Version,
    splits: Splits,
    min_effect: float,
) -> FeatureDrift:
    """Compare a sample with the validation and hold-out rows, which the model was not fitted on.

    Nothing is compared if the model has no features, or these rows are not here.
    """
    parts = [splits[name] for name in NOT_FITTED if name in splits]
    are_here = len(parts) == len(NOT_FITTED)
    features = load_features(model.files.network, threads=model.threads) if are_here else None
    if not features:
        return FeatureDrift([], None, [])
    random = np.random.default_rng(0)
    rows = [part.take(random.permutation(len(part))[:KNOWN]) for part in parts]
    groups = [part.groups for part in rows if part.groups is not None]
    known_features = KnownFeatures(
        np.concatenate([features(part.images) for part in rows]),
        np.concatenate(groups) if groups else None,
    )
    distances = known_features.distances(features(sample))
    order = np.argsort(-distances, kind="stable")
    return FeatureDrift(
        [known_features.compare(distances, min_effect)],
        far=float(np.mean(distances > known_features.cuts[-1])),
        farthest=[*sample[order[:24]]],
    )


def are_images_compared(comparisons: Sequence[Drift]) -> bool:
    """Whether any comparison is of images: the accuracy of labelled rows is not."""
    return any(comparison.name != ACCURACY for comparison in comparisons)


def drifted_names(comparisons: Sequence[Drift]) -> str:
    """What drifted; `nothing`, or `not known` if no images were compared."""
    names = [comparison.name for comparison in comparisons if comparison.drifted]
    nothing = "nothing" if are_images_compared(comparisons) else "not known"
    return ", ".join(names) or nothing


def _split_warnings(splits: Splits) -> list[str]:
    """A warning if some of the splits that images are compared with are not as they were."""
    changed = [name for name in SPLITS if name not in splits]
    if not splits or not changed:
        return []
    fault = "not as when this version was made, so drift is known only in part"
    return [f"artifacts/split: {first_names(changed)}: {fault}"]
