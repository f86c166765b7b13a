"""The baseline: what a classical description of the images and a linear classifier get right."""

from collections.abc import Mapping
from math import prod
from typing import NamedTuple

import numpy as np

from imageproof.base._connected import together
from imageproof.base._dataset import Dataset, Images, Probabilities
from imageproof.base._inference import Features
from imageproof.features._descriptors import DESCRIPTORS
from imageproof.features._graph import Head
from imageproof.features.head import IN_FOLDS, Rowset, Settings, divide, fit_head, predict

ROWS = 5_000  # at most: more take minutes, and change little
FOLDS = 5
C = 0.02  # scikit-learn's; of 0.003 to 1 it suits small and large images
SIDE = 96  # pixels; of a larger image every second, third … row and column is taken
CHUNK = 1 << 20  # bytes of images described at a time; they take some hundred times as much


class Baseline(NamedTuple):
    """A description by name, and the classifier fitted to it on so many `rows`.

    `accuracies` 0…1 are those of each description in folds of these rows; empty if there were too
    few for folds, and the first description was taken.
    """

    name: str
    head: Head
    rows: int
    accuracies: Mapping[str, float]

    def predict(self, images: Images) -> Probabilities:
        """Probabilities float32 (n, classes) of images uint8 (n, height, width[, 3])."""
        answers = [predict(self.head, describe(self.name, chunk)) for chunk in _chunks(images)]
        return np.concatenate(answers)


def fit_baseline(data: Dataset, *, classes: int, seed: int) -> Baseline:
    """Fit each description on training rows, and keep the one that is right most often in folds.

    At most ROWS rows are taken, at random. Copies and rows of a group are in one fold.
    """
    from threadpoolctl import threadpool_limits

    random = np.random.default_rng(seed)
    count = min(len(data), ROWS)
    sample = data.take(np.sort(random.choice(len(data), count, replace=False)))
    groups = together(sample)
    settings = Settings(classes, None, seed)
    rowsets = {}
    accuracies = {}
    with threadpool_limits(1):  # sums of several threads vary with their number
        for name in DESCRIPTORS:
            features = np.concatenate([describe(name, chunk) for chunk in _chunks(sample.images)])
            rowsets[name] = Rowset(features[None], sample.labels, groups)
            if (accuracy := _fold_accuracy(rowsets[name], settings)) is not None:
                accuracies[name] = accuracy
        best = max(accuracies, key=accuracies.__getitem__, default=next(iter(DESCRIPTORS)))
        head = fit_head(rowsets[best], C, settings)
    return Baseline(best, head, count, accuracies)


def describe(name: str, images: Images) -> Features:
    step = -(-max(images.shape[1:3]) // SIDE)
    return DESCRIPTORS[name](images[:, ::step, ::step])


def _fold_accuracy(rows: Rowset, settings: Settings) -> float | None:
    """The share of rows that is right if each is held out once; None if there are no folds."""
    hits = []
    for train, held_out in divide(rows, FOLDS, seed=settings.seed):
        head = fit_head(rows.take(train), C, settings, IN_FOLDS)
        answers = predict(head, rows.views[0][held_out]).argmax(axis=1)
        hits.append(answers == rows.labels[held_out])
    return float(np.concatenate(hits).mean()) if hits else None


def _chunks(images: Images) -> list[Images]:
    size = max(1, CHUNK // prod(images.shape[1:]))
    return [images[start : start + size] for start in range(0, len(images), size)]
