"""Drift of a stream of images from the data that a registered model was trained on."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from digits.core import events
from digits.core.artifacts import read_split, split_path
from digits.core.dataset import Dataset, Images, Labels
from digits.core.files import md5
from digits.evaluation.drift import (
    Comparison,
    Distances,
    DriftParams,
    KnownFeatures,
    compare_counts,
    compare_values,
)
from digits.registry.served import Served

SAMPLE = 2000  # images whose features are compared; more would find smaller effects than count
KNOWN = 6000  # validation rows that they are compared with
SEED = 0

ImageStats = dict[str, np.ndarray]  # a value per image, by the names of `image_stats`


def image_stats(images: Images) -> ImageStats:
    """Per image mean_ink float32 (mean grey value) and contrast uint8 (maximum - minimum)."""
    mean_ink = images.mean(axis=(1, 2), dtype=np.float32)
    return {"mean_ink": mean_ink, "contrast": np.ptp(images, axis=(1, 2))}


class Seen:
    """What is kept of each image of a stream: its `image_stats`."""

    def __init__(self) -> None:
        self.rows = 0
        self._stats: list[ImageStats] = []

    def add(self, images: Images) -> None:
        """Take note of a batch."""
        self._stats.append(image_stats(images))
        self.rows += len(images)

    @property
    def stats(self) -> ImageStats:
        """`image_stats` of all images; there must be some."""
        return {key: np.concatenate([each[key] for each in self._stats]) for key in self._stats[0]}


class Sample:
    """A random sample of a stream of images."""

    def __init__(self) -> None:
        self._rows = 0
        self._kept: Images = np.empty((0, 0, 0), np.uint8)
        self._random = np.random.default_rng(SEED)

    def add(self, images: Images) -> None:
        """Draw from a batch; each image so far is in the sample with equal probability.

        Row i replaces a random one of the sample with probability SAMPLE / (i + 1): Algorithm R
        (Vitter 1985, «Random Sampling with a Reservoir»).
        """
        if not self._rows:
            self._kept = np.empty((SAMPLE, *images.shape[1:]), np.uint8)
        rows = np.arange(self._rows, self._rows + len(images))
        places = np.where(rows < SAMPLE, rows, self._random.integers(rows + 1))
        drawn = places < SAMPLE
        self._kept[places[drawn]] = images[drawn]
        self._rows += len(images)

    @property
    def images(self) -> Images:
        """At most 2,000 of the images, uint8 (n, height, width)."""
        return self._kept[: self._rows]


class FeatureDrift(NamedTuple):
    """The known features, and how foreign each image of a sample is."""

    known: KnownFeatures
    distances: Distances


def feature_drift(sample: Images, model: Served) -> FeatureDrift | None:
    """How foreign the images are to the model's last hidden layer.

    None if the local validation split is not the model's, or the model is of before ONNX.
    """
    validation = _split_of(model, "validation")
    features = model.files.load_features(threads=model.threads) if validation else None
    if features is None or validation is None:
        return None
    chosen = np.random.default_rng(SEED).permutation(len(validation))[:KNOWN]
    known = KnownFeatures(features(validation.images[chosen]))
    return FeatureDrift(known, known.distances(features(sample)))


def compare(
    seen: Seen,
    class_counts: Labels,
    features: FeatureDrift | None,
    model: Served,
    params: DriftParams,
) -> list[Comparison]:
    """Compare images and predicted classes with the training split, features with validation.

    Without the training split that the model was fitted on, the images are not compared.
    """
    comparisons = []
    if train := _split_of(model, "train"):
        stats, known = seen.stats, image_stats(train.images)
        known_counts = np.bincount(train.labels, minlength=len(class_counts))
        comparisons = [
            *(compare_values(key, stats[key], known[key], params.min_effect) for key in stats),
            compare_counts("class_shares", class_counts, known_counts, params.min_effect),
        ]
    if features:
        least = params.min_feature_effect
        comparisons.append(features.known.compare(features.distances, least))
    return comparisons


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
