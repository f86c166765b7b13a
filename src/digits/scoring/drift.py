"""Drift of a stream of images from the data that a registered model was trained on."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from digits.core import events
from digits.core.artifacts import read_split, split_path
from digits.core.dataset import Dataset, Images, Labels
from digits.core.files import md5
from digits.data.validation.validate import SHOWN_ROWS as SHOWN
from digits.data.validation.validate import ValidateParams, finding, usual_ranges
from digits.evaluation.drift import (
    Comparison,
    Counted,
    Distances,
    DriftParams,
    KnownFeatures,
    add_up,
    compare_counts,
    compare_values,
    count_values,
)
from digits.registry.served import Served

SAMPLE = 2000  # images whose features are compared; more would find smaller effects than count
KNOWN = 6000  # validation rows that they are compared with
SEED = 0
PENDING = 1000  # counts of batches that wait to be added up

ImageStats = dict[str, np.ndarray]  # a value per image, by the names of `image_stats`


def image_stats(images: Images) -> ImageStats:
    """Per image mean_ink float32 (mean grey value) and contrast uint8 (maximum - minimum)."""
    mean_ink = images.mean(axis=(1, 2), dtype=np.float32)
    return {"mean_ink": mean_ink, "contrast": np.ptp(images, axis=(1, 2))}


class Odd(NamedTuple):
    """An unusual image: the number of its part and its row there, its name, and its value."""

    part: int
    row: int
    name: int | str
    value: float


class Seen:
    """What is kept of a stream's images: how often each value of `image_stats` occurred.

    Also the first images that `usual_ranges` calls unusual. What parts of a stream have seen adds
    up to exactly what the whole would have.
    """

    def __init__(self, params: ValidateParams, part: int = 0) -> None:
        """`part` is the number of this part of the stream."""
        self.rows = 0
        self._part = part
        self._usual = usual_ranges(params)
        self._counted: dict[str, list[Counted]] = {}
        self._odd: dict[str, list[Odd]] = {each.column: [] for each in self._usual}
        self._odd_rows = Counter[str]()

    def add(self, images: Images) -> None:
        """Take note of a batch."""
        self.add_stats(image_stats(images), range(self.rows, self.rows + len(images)))

    def add_stats(self, stats: ImageStats, names: Sequence[int | str]) -> None:
        """Take note of the `image_stats` of a batch, and of how its images are called."""
        for key, values in stats.items():
            self._count(key, [count_values(values)])
        for column, low, high, _words in self._usual:
            values = stats[column].astype(np.float64).round(2)  # as when data are validated
            rows = np.flatnonzero((values < low) | (values > high))
            self._odd_rows[column] += len(rows)
            self._keep(
                column,
                [Odd(self._part, self.rows + r, names[r], values[r].item()) for r in rows[:SHOWN]],
            )
        self.rows += len(names)

    def add_part(self, other: "Seen") -> None:
        """Take note of what another part of the stream has seen."""
        for key, counted in other._counted.items():
            self._count(key, counted)
        for column, odd in other._odd.items():
            self._keep(column, odd)
        self._odd_rows += other._odd_rows
        self.rows += other.rows

    @property
    def counted(self) -> dict[str, Counted]:
        """How often each value of `image_stats` occurred; there must be some image."""
        return {key: add_up(parts) for key, parts in self._counted.items()}

    @property
    def warnings(self) -> list[str]:
        """The warnings that validation would have for these images."""
        return [
            finding("input", "row", each.words, count, [(o.name, o.value) for o in odd])
            for each in self._usual
            if (count := self._odd_rows[each.column]) and (odd := self._odd[each.column])
        ]

    def _count(self, key: str, counted: list[Counted]) -> None:
        parts = [*self._counted.get(key, []), *counted]
        self._counted[key] = parts if len(parts) < PENDING else [add_up(parts)]

    def _keep(self, column: str, odd: list[Odd]) -> None:
        self._odd[column] = sorted([*self._odd[column], *odd])[:SHOWN]


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
        new = seen.counted
        known = {key: count_values(each) for key, each in image_stats(train.images).items()}
        known_counts = np.bincount(train.labels, minlength=len(class_counts))
        comparisons = [
            *(compare_values(key, new[key], known[key], params.min_effect) for key in new),
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
