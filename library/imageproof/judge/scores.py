"""Scores of the predicted probabilities, how well they are calibrated, and the mistakes."""

from collections.abc import Mapping
from math import isfinite
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from imageproof.base._dataset import Dataset, Floats, Images, Labels, Metrics, Probabilities, Rows
from imageproof.base._inference import not_probabilities
from imageproof.base.errors import DataError, ImageproofError
from imageproof.judge import _confusion
from imageproof.judge._groups import Intervals

if TYPE_CHECKING:  # half a second, which flows would wait
    import pandas as pd

ECE_BINS = 15
KERAS_EPSILON = 1e-7


def score_probabilities(probabilities: Probabilities, reference: Labels) -> dict[str, float]:
    """Score class probabilities float32 (n, classes) against the truth int64 (n,).

    `balanced_accuracy` and `macro_f1`: see `_confusion.balance`; `loss`: mean cross-entropy in
    nats; `brier`: mean squared distance to the one-hot truth, 0…2; `ece`: see `calibration_error`;
    `top5_accuracy`: of more than MANY_CLASSES. There is at least one row. An ImageproofError if a
    row is no probability distribution.
    """
    if fault := not_probabilities(probabilities):
        raise ImageproofError(f"predictions: {fault}; a training that diverged gives nan")
    chances = normalised(probabilities)
    classes = chances.shape[1]
    predicted = chances.argmax(axis=1)
    matrix = _confusion.confusion_matrix(predicted, reference, classes=classes)
    truth = np.eye(classes)[reference]
    scores = {
        "accuracy": float(np.mean(predicted == reference)),
        **_confusion.balance(matrix),
        "loss": _loss(chances, reference),
        "brier": float(((chances - truth) ** 2).sum(axis=1).mean()),
        "ece": calibration_error(probabilities, reference),
        "top2_accuracy": _top_accuracy(chances, reference, 2),
    }
    if classes > _confusion.MANY_CLASSES:
        scores["top5_accuracy"] = _top_accuracy(chances, reference, 5)
    return scores


def _loss(chances: Floats, reference: Labels) -> float:
    """As `keras.losses.SparseCategoricalCrossentropy` clips and normalises: at most 16.1."""
    clipped = np.clip(chances, KERAS_EPSILON, 1 - KERAS_EPSILON)
    truth = np.take_along_axis(clipped, reference[:, None], axis=1)
    return float(np.mean(np.log(clipped.sum(axis=1, keepdims=True)) - np.log(truth)))


def _top_accuracy(chances: Floats, reference: Labels, k: int) -> float:
    """The share of the rows whose class is among the k most probable, of equal ones the first."""
    top = np.argsort(-chances, axis=1, kind="stable")[:, :k]
    return float(np.mean((top == reference[:, None]).any(axis=1)))


def calibration_error(probabilities: Probabilities, reference: Labels) -> float:
    """Mean gap between confidence and accuracy over 15 equal-width bins of confidence, 0…1.

    Guo et al. 2017, «On Calibration of Modern Neural Networks», equation 3.
    """
    confidence = normalised(probabilities).max(axis=1)
    hits = probabilities.argmax(axis=1) == reference
    gaps = np.bincount(bins_of(confidence), weights=confidence - hits)
    return float(np.abs(gaps).sum() / len(reference))


def errors_by_chance(probabilities: Probabilities, independent: float, excess: float = 0.0) -> Any:
    """SciPy's distribution of the `calibration_error` of an honest model.

    Outcomes drawn from the model's own probabilities (Bröcker and Smith 2007, «Increasing the
    Reliability of Reliability Diagrams»), approximated: the gap of each bin is half-normal, and
    their sum is taken to be gamma distributed, with its mean and variance. Of the rows the share
    `independent` tells as much as all. If confidence is too high by `excess`, it is what chance
    adds to that: a sure model is then wrong far more often than it says, so gaps vary more.
    """
    from scipy.stats import gamma

    confidence = normalised(probabilities).max(axis=1)
    accuracy = np.maximum(confidence - excess, 0)
    variances = np.bincount(bins_of(confidence), weights=accuracy * (1 - accuracy))
    gaps = np.sqrt(variances / max(independent, 1e-9)) / len(confidence)
    mean = max(np.sqrt(2 / np.pi) * gaps.sum(), 1e-9)
    variance = max((1 - 2 / np.pi) * (gaps @ gaps), 1e-20)
    return gamma(mean**2 / variance, scale=variance / mean)


def normalised(probabilities: Probabilities) -> Floats:
    chances = np.array(probabilities, dtype=np.float64)
    chances /= chances.sum(axis=1, keepdims=True)
    return chances


def bins_of(confidence: Floats) -> Rows:
    """The number of each value's bin, from 0; bins are open on the left, closed on the right."""
    bins = np.round(confidence * ECE_BINS, 4)  # as float32, 9/15 is a little more
    return np.ceil(bins).astype(int) - 1


def reliability(
    probabilities: Probabilities, reference: Labels, groups: Rows | None = None
) -> "pd.DataFrame":
    """Confidence against accuracy in each bin of `calibration_error` that has rows.

    Columns: `above` and `up_to` (the bin's bounds), `rows`, their mean `confidence`, their
    `accuracy`, and its 95 % interval `lower` and `upper`; see `Intervals`.
    """
    from pandas import DataFrame

    confidence = normalised(probabilities).max(axis=1)
    hits = probabilities.argmax(axis=1) == reference
    bins = bins_of(confidence)
    intervals = Intervals(hits, groups)
    table = []
    for number in np.unique(bins):
        inside = np.flatnonzero(bins == number)
        bounds = number / ECE_BINS, (number + 1) / ECE_BINS
        means = confidence[inside].mean(), hits[inside].mean()
        table.append((*bounds, len(inside), *means, *intervals.of(inside)))
    columns = ["above", "up_to", "rows", "confidence", "accuracy", "lower", "upper"]
    return DataFrame(table, columns=columns)


class Mistakes(NamedTuple):
    """Wrongly predicted images, as in a `Dataset`, the most confident mistake first.

    `probability` is that of the predicted class; `rows` are those of the predicted split, or what
    their images are called.
    """

    images: Images
    truth: Labels
    prediction: Labels
    probability: NDArray[np.float32]
    rows: Rows | NDArray[np.str_]


def most_confident_mistakes(
    data: Dataset,
    probabilities: Probabilities,
    *,
    limit: int,
) -> Mistakes:
    prediction = probabilities.argmax(axis=1)
    confidence = probabilities.max(axis=1)
    wrong = np.flatnonzero(prediction != data.labels)
    rows = wrong[np.argsort(-confidence[wrong], kind="stable")][:limit]
    return Mistakes(data.images[rows], data.labels[rows], prediction[rows], confidence[rows], rows)


def numbers(figures: Mapping[str, Any]) -> Metrics:
    """Figures as JSON has them: a project's own may be NumPy's; a DataError names one like NaN."""
    floats = {name: float(figure) for name, figure in figures.items()}
    for name, number in floats.items():
        if not isfinite(number):
            raise DataError(f"{name}: is {number}; leave out a figure that does not exist")
    return floats
