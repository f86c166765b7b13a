"""The head: scikit-learn's logistic regression on standardized features."""

import warnings
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from imageproof.base._connected import divided
from imageproof.base._dataset import Labels, Probabilities, Rows
from imageproof.base._inference import Features
from imageproof.features._graph import Head

if TYPE_CHECKING:
    from sklearn.linear_model import LogisticRegression
    from sklearn.preprocessing import StandardScaler

ClassWeights = Mapping[int, float] | str | None  # as scikit-learn takes them
ABSENT = -1e4  # the logit of a class without rows: its probability is 0
TOLERANCE = 1e-4  # of the gradient, where a fit ends: scikit-learn's own
IN_FOLDS = 1e-3  # the same of fits that only compare: half the time, and the same choice


class Rowset(NamedTuple):
    """Training rows: features float32 (views, n, k) of each view of the images, labels, groups.

    The first view is the image as it is. `groups` int64 (n,): rows of one stay in one fold, see
    `_connected.together`.
    """

    views: NDArray[np.float32]
    labels: Labels
    groups: Rows

    def take(self, rows: Rows) -> "Rowset":
        return Rowset(self.views[:, rows], self.labels[rows], self.groups[rows])


class Settings(NamedTuple):
    """How a head is fitted: for `classes` classes, with these weights, by a seed."""

    classes: int
    class_weights: ClassWeights
    seed: int


def fit_head(
    rows: Rowset,
    c: float,
    settings: Settings,
    tolerance: float = TOLERANCE,
) -> Head:
    """The head for this inverse strength of regularization, as scikit-learn counts it."""
    with warnings.catch_warnings(category=UserWarning, action="ignore"):  # of a stopped fit
        [head] = _fit_all(rows, [c], settings, tolerance)
    return head


def predict(head: Head, features: Features) -> Probabilities:
    """Probabilities float32 (n, classes), as the ONNX model computes them but for rounding."""
    from scipy.special import softmax

    logits = features @ head.weights + head.bias
    probabilities: Probabilities = softmax(logits, axis=1).astype(np.float32)
    return probabilities


class Choice(NamedTuple):
    """The chosen C, and of each C the mean of the folds' log loss."""

    c: float
    losses: dict[float, float]


def choose_c(
    rows: Rowset,
    values: Sequence[float],
    settings: Settings,
    *,
    folds: int,
    threads: int = 1,
) -> Choice:
    """The C with the least log loss.

    Rows of one group are in one fold; so many `threads` fit a fold each. With one value there is
    nothing to choose.
    """
    values = sorted(values)
    parts = divide(rows, folds, seed=settings.seed)
    if len(values) == 1 or not parts:
        return Choice(values[0], {})
    fold_losses = partial(_fold_losses, rows, values, settings)
    # of fits that are stopped; the filter is that of all threads
    ignored = warnings.catch_warnings(category=UserWarning, action="ignore")
    with ignored, ThreadPoolExecutor(threads) as pool:
        losses = [*pool.map(fold_losses, *zip(*parts, strict=True))]
    means = dict(zip(values, np.mean(losses, axis=0).tolist(), strict=True))
    return Choice(min(means, key=means.__getitem__), means)


def _fold_losses(
    rows: Rowset,
    values: Sequence[float],
    settings: Settings,
    train: Rows,
    held_out: Rows,
) -> list[float]:
    from sklearn.metrics import log_loss

    heads = _fit_all(rows.take(train), values, settings, IN_FOLDS)
    features = rows.views[0][held_out]
    labels = rows.labels[held_out]
    classes = range(settings.classes)
    return [log_loss(labels, predict(head, features), labels=classes) for head in heads]


def divide(rows: Rowset, folds: int, *, seed: int) -> list[tuple[Rows, Rows]]:
    """Of each fold the rows to train on and those held out, see `_connected.divided`; no pair at
    all where the rows cannot be divided.
    """
    fold = divided(rows.labels, rows.groups, folds, seed=seed)
    pairs = [(np.flatnonzero(fold != n), np.flatnonzero(fold == n)) for n in range(fold.max() + 1)]
    return pairs if len(pairs) > 1 else []


def _fit_all(
    rows: Rowset,
    values: Sequence[float],
    settings: Settings,
    tolerance: float,
) -> list[Head]:
    """One head for each C, ascending; each begins where the one before it ended."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.preprocessing import StandardScaler

    features = np.concatenate([*rows.views])
    labels = np.tile(rows.labels, len(rows.views))
    classes = np.unique(labels)
    if len(classes) == 1:  # LogisticRegression needs two
        bias = np.full(settings.classes, ABSENT)
        bias[classes] = 0
        return [Head(np.zeros((features.shape[1], settings.classes)), bias)] * len(values)
    scaler = StandardScaler(copy=False).fit(features)
    scaled = scaler.transform(features)
    model = LogisticRegression(
        class_weight=settings.class_weights,
        tol=tolerance,
        max_iter=1000,
        warm_start=True,
    )
    heads = []
    for c in values:
        model.set_params(C=c)
        model.fit(scaled, labels)
        heads.append(_folded(model, scaler, settings.classes))
    return heads


def _folded(
    model: "LogisticRegression",
    scaler: "StandardScaler",
    classes: int,
) -> Head:
    """The classifier with the scaler within its weights; a class without rows gets no chance."""
    weights = np.zeros((len(scaler.scale_), classes))
    bias = np.full(classes, ABSENT)
    coefficients = model.coef_.astype(np.float64)
    intercepts = model.intercept_.astype(np.float64)
    if len(model.classes_) == 2:  # scikit-learn keeps the logit of the second class alone
        coefficients = np.stack([np.zeros_like(coefficients[0]), coefficients[0]])
        intercepts = np.array([0.0, intercepts[0]])
    scaled = coefficients / scaler.scale_
    weights[:, model.classes_] = scaled.T
    bias[model.classes_] = intercepts - scaled @ scaler.mean_
    return Head(weights, bias)
