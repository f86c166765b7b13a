"""Scores of the predicted probabilities, and the mistakes."""

from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import binomtest

from digits.toolkit.dataset import Dataset, Images, Labels, Probabilities
from digits.toolkit.errors import DigitsError
from digits.toolkit.judgement import calibration, confusion

KERAS_EPSILON = 1e-7


def score_probabilities(probabilities: Probabilities, reference: Labels) -> dict[str, float]:
    """Score class probabilities float32 (n, classes) against the truth int64 (n,).

    `balanced_accuracy` and `macro_f1`: see `confusion.balance`; `loss`: mean cross-entropy in nats;
    `brier`: mean squared distance to the one-hot truth, 0…2; `ece`: see `calibration_error`;
    `top5_accuracy`: of more than MANY_CLASSES. There is at least one row. A DigitsError if a row is
    no probability distribution.
    """
    if fault := calibration.not_probabilities(probabilities):
        raise DigitsError(f"predictions: {fault}; a training that diverged gives nan")
    chances = calibration.normalised(probabilities)
    predicted, classes = chances.argmax(axis=1), chances.shape[1]
    ranks = _ranks(chances, reference)
    found = {
        "accuracy": float(np.mean(predicted == reference)),
        **confusion.balance(confusion.confusion_matrix(predicted, reference, classes=classes)),
        "loss": _log_loss(chances, reference),
        "brier": _brier(chances, reference),
        "ece": calibration.calibration_error(probabilities, reference),
        "top2_accuracy": float(np.mean(ranks < 2)),
    }
    if classes > confusion.MANY_CLASSES:
        found["top5_accuracy"] = float(np.mean(ranks < 5))
    return found


# scikit-learn's Brier score and top-k accuracies hold six more copies of the probabilities, and
# sort every row: of 10,000 rows and 1,000 classes 500 MB and 5 s.
def _ranks(chances: NDArray[np.float64], reference: Labels) -> NDArray[np.int64]:
    """How many classes come before the true one; of equally probable ones the last is first."""
    of_truth = chances[np.arange(len(reference)), reference][:, None]
    later = np.arange(chances.shape[1]) > reference[:, None]
    ranks: NDArray[np.int64] = ((chances > of_truth) | ((chances == of_truth) & later)).sum(axis=1)
    return ranks


def _log_loss(chances: NDArray[np.float64], reference: Labels) -> float:
    """As `keras.losses.SparseCategoricalCrossentropy`, which clips and normalises: at most 16.1."""
    clipped = np.clip(chances, KERAS_EPSILON, 1 - KERAS_EPSILON)
    of_truth = clipped[np.arange(len(reference)), reference]
    return float(np.mean(np.log(clipped.sum(axis=1)) - np.log(of_truth)))


def _brier(chances: NDArray[np.float64], reference: Labels) -> float:
    errors = chances.copy()
    errors[np.arange(len(reference)), reference] -= 1
    return float(np.mean(np.square(errors, out=errors).sum(axis=1)))


def reliability(probabilities: Probabilities, reference: Labels) -> pd.DataFrame:
    """Confidence against accuracy in each bin of `calibration_error` that has rows.

    Columns: `above` and `up_to` (the bin's bounds), `rows`, their mean `confidence`, their
    `accuracy`, and its exact 95 % interval `lower` and `upper` (Clopper and Pearson).
    """
    confidence = probabilities.max(axis=1).astype(np.float64)
    right = probabilities.argmax(axis=1) == reference
    bins = calibration.bins_of(confidence)
    table = []
    for number in np.unique(bins):
        inside = bins == number
        rows, hits, mean = int(inside.sum()), int(right[inside].sum()), confidence[inside].mean()
        low, high = binomtest(hits, rows).proportion_ci()[:2]
        bounds = number / calibration.ECE_BINS, (number + 1) / calibration.ECE_BINS
        table.append((*bounds, rows, float(mean), hits / rows, low, high))
    columns = ["above", "up_to", "rows", "confidence", "accuracy", "lower", "upper"]
    return pd.DataFrame(table, columns=columns)


class Mistakes(NamedTuple):
    """Wrongly predicted images uint8 (n, height, width), the most confident mistake first.

    `probability` is that of the predicted class; `rows` are those of the predicted split, or what
    their images are called.
    """

    images: Images
    truth: Labels
    prediction: Labels
    probability: NDArray[np.float32]
    rows: NDArray[np.int64] | NDArray[np.str_]


def most_confident_mistakes(data: Dataset, probabilities: Probabilities, *, limit: int) -> Mistakes:
    prediction, confidence = probabilities.argmax(axis=1), probabilities.max(axis=1)
    wrong = np.flatnonzero(prediction != data.labels)
    rows = wrong[np.argsort(-confidence[wrong], kind="stable")][:limit]
    return Mistakes(data.images[rows], data.labels[rows], prediction[rows], confidence[rows], rows)
