"""The accuracy to expect of answers without labels: that of a mix of disturbed images alike.

Confidence alone misleads: a network may be as sure of images that it has never seen the like of.
So known images are disturbed in known ways (as in Deng and Zheng 2021, «Are Labels Always Necessary
for Classifier Accuracy Evaluation?»), and new ones taken for a mix of those. Its weights are those
whose mean answer and features are the mean of the new ones, for each class by itself, so that a
class that comes more often is no disturbance (as in Lipton, Wang and Smola 2018, «Detecting and
Correcting for Label Shift with Black Box Predictors»).
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import chain
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from imageproof.base.dataset import Dataset, Images, Labels, Predict, Probabilities
from imageproof.base.inference import BATCH
from imageproof.judge.drift import Features

Z_975 = 1.96  # 97.5 % of a normal distribution lie below
RANKS = 3  # of the highest probabilities
SUM = 100.0  # how much more it counts that the weights sum to 1 than that the means are equal
NEAR = 0.1  # how much it counts that kinds are near the new mean: of equal mixes take the nearest
KNOWN = 3000  # rows that are known, of each split
DISTURBED = 2000  # the same for each kind of disturbance
DISTURBED_BYTES = 4_000_000  # of large images fewer are disturbed
# Each class of each kind is a cell, which needs rows; of 1,000 classes the mix takes 20 GB.
MOST_CLASSES = 100
CHUNK = 20 * BATCH  # rows that are asked at a time
SEED = 0

Described = NDArray[np.float64]  # (n, k), what a model makes of each image


class Answered(NamedTuple):
    """What a model makes of images of one kind: features may have no columns."""

    features: Features
    probabilities: Probabilities

    def described(self, scale: float) -> Described:
        highest = np.sort(self.probabilities, axis=1)[:, -RANKS:]
        columns = [self.features / scale, self.probabilities, highest]
        return np.concatenate(columns, axis=1, dtype=np.float64)


def ask(
    chunks: Iterable[Images], predict: Predict, features: Callable[[Images], Features] | None
) -> Answered:
    parts = [(features(each) if features else (), predict(each)) for each in chunks]
    seen, probabilities = (np.concatenate(each) for each in zip(*parts, strict=True))
    return Answered(seen.reshape(len(probabilities), -1), probabilities)


def ask_known(
    splits: Sequence[Dataset],
    disturbed: Sequence[Callable[[Images], Iterator[Images]]],
    answer: Callable[[Iterable[Images]], Answered],
) -> list[tuple[Answered, Labels]]:
    """What a model makes of images that it was not fitted on, as they are and disturbed."""
    random = np.random.default_rng(SEED)
    most = min(DISTURBED, 1 + DISTURBED_BYTES // splits[0].images[0].nbytes)

    def draw(count: int) -> tuple[Iterator[Images], Labels]:
        rows = [random.permutation(len(split))[:count] for split in splits]
        pairs = [*zip(splits, rows, strict=True)]
        chunks = (
            split.images[chosen[start : start + CHUNK]]
            for split, chosen in pairs
            for start in range(0, len(chosen), CHUNK)
        )
        return chunks, np.concatenate([split.labels[chosen] for split, chosen in pairs])

    images, labels = draw(KNOWN)
    kinds = [(answer(images), labels)]
    for disturb in disturbed:
        images, labels = draw(most)
        kinds.append((answer(chain.from_iterable(map(disturb, images))), labels))
    return kinds


class Expected(NamedTuple):
    """An accuracy 0…1, and between what it probably is."""

    value: float
    lower: float
    upper: float


class KnownAnswers:
    """Answers to known images, the undisturbed kind first, with the labels int64 (n,) of each."""

    def __init__(self, kinds: Sequence[tuple[Answered, Labels]]) -> None:
        from sklearn.covariance import LedoitWolf

        first, _ = kinds[0]
        self._scale = float(first.features.std(axis=0).max(initial=0)) or 1.0
        rows = np.concatenate([answered.described(self._scale) for answered, _ in kinds])
        labels = np.concatenate([labels for _, labels in kinds])
        answers = np.concatenate([each.probabilities.argmax(axis=1) for each, _ in kinds])
        of_kind = np.repeat(np.arange(len(kinds)), [len(labels) for _, labels in kinds])
        right, self._rows = answers == labels, min(len(labels) for _, labels in kinds)
        cells, cell = np.unique([of_kind, labels], axis=1, return_inverse=True)
        self._kinds, sizes = cells[0], np.bincount(cell)
        self._accuracies = np.bincount(cell, right) / sizes
        means = np.stack([np.bincount(cell, column) / sizes for column in rows.T], axis=1)
        within = LedoitWolf(assume_centered=True).fit(rows - means[cell]).precision_
        # in units of the spread within a cell; a constant answer has none
        self._whiten = np.linalg.cholesky(within + 1e-9 * np.eye(len(within)))
        self._means = means @ self._whiten
        kind_means = [rows[of_kind == kind].mean(axis=0) for kind in range(len(kinds))]
        accuracies = np.bincount(of_kind, right) / np.bincount(of_kind)
        self.clean = float(accuracies[0])
        # how far off each disturbed kind is if only the others are known
        errors = [
            self._mixed(mean, self._kinds != kind) - accuracies[kind]
            for kind, mean in enumerate(kind_means[1:], 1)
        ]
        lost = np.sum((self.clean - accuracies) ** 2)
        self._error = float(np.sqrt(np.sum(np.square(errors)) / lost)) if lost else 0.0

    def expect(self, new: Answered) -> Expected:
        """The accuracy of these answers.

        Its interval is that of chance, among these rows and the known ones of a kind, and of a kind
        that nobody disturbed images by: this error is the share of the loss by which disturbed
        kinds are missed if only the others are known. It is no exact one of 95 %.
        """
        described = new.described(self._scale)
        value = self._mixed(described.mean(axis=0), np.ones(len(self._kinds), bool))
        of_kind = self._error * (self.clean - value)
        chance = value * (1 - value) * (1 / len(described) + 1 / self._rows)
        half = Z_975 * np.sqrt(chance + of_kind**2)
        return Expected(value, max(0.0, value - half), min(1.0, value + half))

    def _mixed(self, mean: NDArray[np.float64], cells: NDArray[np.bool_]) -> float:
        """The accuracy of the mix of these cells that has this mean."""
        from scipy.optimize import nnls

        means, kinds = self._means[cells], self._kinds[cells]
        total = SUM * float(np.abs(means).max())
        equations = np.vstack([means.T, np.full(len(means), total)])
        sums = np.append(mean @ self._whiten, total)
        # how far the nearest mix of a kind's own cells is: no class by itself is near or far
        far = {kind: nnls(equations[:, kinds == kind], sums)[1] for kind in np.unique(kinds)}
        equations = np.vstack([equations, np.diag([NEAR * far[kind] for kind in kinds])])
        weights, _ = nnls(equations, np.append(sums, np.zeros(len(means))), maxiter=10_000)
        return float(np.clip(weights @ self._accuracies[cells] / weights.sum(), 0, 1))
