"""Drift of images from the data that a registered model was trained on."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from digits.core import events
from digits.core.artifacts import read_split, split_path
from digits.core.dataset import Dataset, Images
from digits.core.files import md5
from digits.data.validation.validate import SHOWN_ROWS, ValidateParams, finding, usual_ranges
from digits.evaluation.confidence import no_answer
from digits.evaluation.drift import (
    Comparison,
    Distances,
    Drift,
    KnownFeatures,
    compare_counts,
    compare_values,
    judge,
)
from digits.params import Params
from digits.registry.served import Served
from digits.scoring.predict import few_rows

SAMPLE = 2000  # images whose features are compared; more would find smaller effects than count
KNOWN = 6000  # validation rows that they are compared with
SEED = 0

ImageStats = dict[str, np.ndarray]  # a value per image, by the names of `image_stats`


def image_stats(images: Images) -> ImageStats:
    """Per image mean_ink float32 (mean grey value) and contrast uint8 (maximum - minimum)."""
    mean_ink = images.mean(axis=(1, 2), dtype=np.float32)
    return {"mean_ink": mean_ink, "contrast": np.ptp(images, axis=(1, 2))}


def unusual(
    stats: ImageStats | pd.DataFrame, names: Sequence[Any] | pd.Index, params: ValidateParams
) -> list[str]:
    """The warnings that validation would have for images with these statistics and names."""
    warnings = []
    for column, low, high, words in usual_ranges(params):
        values = np.asarray(stats[column], np.float64).round(2)  # as when data are validated
        rows = np.flatnonzero((values < low) | (values > high))
        examples = [(names[row], values[row].item()) for row in rows[:SHOWN_ROWS]]
        if len(rows):
            warnings.append(finding("input", "row", words, len(rows), examples))
    return warnings


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
    features = model.files.load_features(threads=model.threads) if validation else None
    if features is None or validation is None:
        return None
    chosen = np.random.default_rng(SEED).permutation(len(validation))[:KNOWN]
    known = KnownFeatures(features(validation.images[chosen]))
    return FeatureDrift(known, known.distances(features(sample)))


def summarise(
    answers: pd.DataFrame, model: Served, params: Params, more: Sequence[Comparison] = ()
) -> dict[str, Any]:
    """What is said of answers, by its names in the results of scoring and monitoring.

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
    odd = unusual(answers, answers.index, params.validation)
    return {
        "model": model.origin.uri,
        "rows": len(answers),
        "class_counts": counts.tolist(),
        "unsure": float(no_answer(answers["set_size"].to_numpy(), classes).mean()),
        "warnings": [*odd, *few_rows(model, params.confidence.coverage)],
        "drift": drift,
        "drifted": [each.name for each in drift if each.drifted],
    }


def drift_metrics(found: Sequence[Drift]) -> dict[str, float]:
    """Effects and p-values, as MLflow's runs record them."""
    effects = {f"drift_{drift.name}_effect": drift.effect for drift in found}
    return effects | {f"drift_{drift.name}_p_value": drift.p_value for drift in found}


def tell_drift(project: str, by: str, drifted: Sequence[str], payload: Mapping[str, Any]) -> None:
    """Send the event `<project>.drift` to Prefect if anything drifted; `by` is who found it."""
    if drifted:
        resource = {
            "prefect.resource.id": f"{project}.{by}",
            "digits.drifted": ", ".join(drifted),
        }
        events.emit(f"{project}.drift", resource, payload)


def _split_of(model: Served, name: str) -> Dataset | None:
    """A local split, if it is the one that the model was made with."""
    path = split_path(name)
    if not path.exists() or md5(path) != model.origin.splits.get(name):
        return None
    return read_split(name).data
