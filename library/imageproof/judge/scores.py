"""Scores of the predicted probabilities, and the mistakes."""

from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.metrics import brier_score_loss, top_k_accuracy_score

from imageproof.base.dataset import Dataset, Images, Labels, Probabilities, Rows
from imageproof.base.errors import ImageproofError
from imageproof.base.inference import not_probabilities
from imageproof.judge import calibration, confusion
from imageproof.judge.groups import Intervals

KERAS_EPSILON = 1e-7


def score_probabilities(probabilities: Probabilities, reference: Labels) -> dict[str, float]:
    """Score class probabilities float32 (n, classes) against the truth int64 (n,).

    `balanced_accuracy` and `macro_f1`: see `confusion.balance`; `loss`: mean cross-entropy in nats;
    `brier`: mean squared distance to the one-hot truth, 0…2; `ece`: see `calibration_error`;
    `top5_accuracy`: of more than MANY_CLASSES. There is at least one row. An ImageproofError if a
    row is no probability distribution.
    """
    if fault := not_probabilities(probabilities):
        raise ImageproofError(f"predictions: {fault}; a training that diverged gives nan")
    chances = calibration.normalised(probabilities)
    # as `keras.losses.SparseCategoricalCrossentropy` clips and normalises: at most 16.1
    clipped = np.clip(chances, KERAS_EPSILON, 1 - KERAS_EPSILON)
    of_truth = clipped[np.arange(len(reference)), reference]
    labels = np.arange(chances.shape[1])
    brier = brier_score_loss(reference, chances, labels=labels, scale_by_half=False)
    two_classes = len(labels) == 2  # scikit-learn would warn
    top2 = 1 if two_classes else top_k_accuracy_score(reference, chances, k=2, labels=labels)
    predicted = chances.argmax(axis=1)
    matrix = confusion.confusion_matrix(predicted, reference, classes=len(labels))
    found = {
        "accuracy": float(np.mean(predicted == reference)),
        **confusion.balance(matrix),
        "loss": float(np.mean(np.log(clipped.sum(axis=1)) - np.log(of_truth))),
        "brier": float(brier),
        "ece": calibration.calibration_error(probabilities, reference),
        "top2_accuracy": float(top2),
    }
    if len(labels) > confusion.MANY_CLASSES:
        top5 = top_k_accuracy_score(reference, chances, k=5, labels=labels)
        found["top5_accuracy"] = float(top5)
    return found


def reliability(
    probabilities: Probabilities, reference: Labels, groups: Rows | None = None
) -> pd.DataFrame:
    """Confidence against accuracy in each bin of `calibration_error` that has rows.

    Columns: `above` and `up_to` (the bin's bounds), `rows`, their mean `confidence`, their
    `accuracy`, and its 95 % interval `lower` and `upper`; see `Intervals`.
    """
    confidence = probabilities.max(axis=1).astype(np.float64)
    right = probabilities.argmax(axis=1) == reference
    bins = calibration.bins_of(confidence)
    intervals = Intervals(right, groups)
    table = []
    for number in np.unique(bins):
        inside = bins == number
        rows, hits, mean = int(inside.sum()), int(right[inside].sum()), confidence[inside].mean()
        bounds = number / calibration.ECE_BINS, (number + 1) / calibration.ECE_BINS
        table.append((*bounds, rows, float(mean), hits / rows, *intervals.of(inside)))
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
