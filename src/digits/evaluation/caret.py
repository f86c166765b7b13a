"""All figures of R's `caret::confusionMatrix`, for any number of classes.

Rows are predictions, columns the reference. With two classes caret prints the figures of the
first («positive») class only; here every class has its figures, whatever their number.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.stats import binomtest
from statsmodels.stats.contingency_tables import SquareTable, mcnemar
from statsmodels.stats.inter_rater import cohens_kappa

from digits.core.dataset import Matrix

Figures = NDArray[np.float64]  # (classes,)

# The figures, each with the label that caret prints.
OVERALL = {
    "accuracy": "Accuracy",
    "accuracy_lower": "95% CI lower",
    "accuracy_upper": "95% CI upper",
    "no_information_rate": "No Information Rate",
    "accuracy_p_value": "P-Value [Acc > NIR]",
    "kappa": "Kappa",
    "mcnemar_p_value": "McNemar's Test P-Value",
}
BY_CLASS = {
    "sensitivity": "Sensitivity",
    "specificity": "Specificity",
    "pos_pred_value": "Pos Pred Value",
    "neg_pred_value": "Neg Pred Value",
    "prevalence": "Prevalence",
    "detection_rate": "Detection Rate",
    "detection_prevalence": "Detection Prevalence",
    "balanced_accuracy": "Balanced Accuracy",
}
LABELS = OVERALL | BY_CLASS


class Undefined(NamedTuple):
    """A figure that is undefined for this matrix, and why; `label` is None for overall figures."""

    figure: str
    label: str | None
    reason: str


@dataclass(frozen=True)
class Statistics:
    """The figures of one confusion matrix; undefined ones are NaN, and `undefined` says why.

    `overall` has the keys of OVERALL; `by_class` those of BY_CLASS, each with one value per
    class in the order of `classes`.
    """

    classes: tuple[str, ...]
    overall: dict[str, float]
    by_class: dict[str, tuple[float, ...]]
    undefined: tuple[Undefined, ...]


def statistics(matrix: Matrix, *, classes: Sequence[str] | None = None) -> Statistics:
    """The statistics of a confusion matrix int64 (classes, classes), ROWS = PREDICTION.

    `classes` holds the classes' names; by default they are numbered. Every matrix of counts is
    accepted, without warnings. Definitions: help page and source of `caret::confusionMatrix`
    (Kuhn 2008, doi:10.18637/jss.v028.i05).
    """
    names = tuple(classes or map(str, range(len(matrix))))
    overall = _overall(matrix)
    by_class = {figure: tuple(values.tolist()) for figure, values in _by_class(matrix).items()}
    undefined = [
        Undefined(figure, None, _why_undefined(figure, matrix, names))
        for figure, value in overall.items()
        if math.isnan(value)
    ] + [
        Undefined(figure, name, _why_undefined_for(index, figure, matrix, name))
        for figure, values in by_class.items()
        for index, name in enumerate(names)
        if math.isnan(values[index])
    ]
    return Statistics(names, overall, by_class, tuple(undefined))


def _overall(matrix: Matrix) -> dict[str, float]:
    total = int(matrix.sum())
    if total == 0:
        return dict.fromkeys(OVERALL, math.nan)
    right = int(np.trace(matrix))
    no_information_rate = float(matrix.sum(axis=0).max() / total)
    interval = binomtest(right, total).proportion_ci(confidence_level=0.95, method="exact")
    better = binomtest(right, total, p=no_information_rate, alternative="greater")
    return {
        "accuracy": right / total,
        "accuracy_lower": float(interval.low),
        "accuracy_upper": float(interval.high),
        "no_information_rate": no_information_rate,
        "accuracy_p_value": float(better.pvalue),
        "kappa": _kappa(matrix),
        "mcnemar_p_value": _mcnemar_p_value(matrix),
    }


def _kappa(matrix: Matrix) -> float:
    """Cohen's kappa; NaN if predictions and reference hold the same single class only."""
    if np.count_nonzero(matrix.sum(axis=0) + matrix.sum(axis=1)) == 1:
        return math.nan
    return float(cohens_kappa(matrix, return_results=False))


def _mcnemar_p_value(matrix: Matrix) -> float:
    """R's `mcnemar.test`; NaN if two classes are never confused, since their term is 0/0.

    Two classes get the continuity correction, unless both errors are equally frequent; more
    classes get Bowker's test of symmetry.
    """
    if _never_confused(matrix) is not None:
        return math.nan
    if len(matrix) == 2:
        uneven = matrix[0, 1] != matrix[1, 0]
        return float(mcnemar(matrix, exact=False, correction=uneven).pvalue)
    return float(SquareTable(matrix, shift_zeros=False).symmetry(method="bowker").pvalue)


def _never_confused(matrix: Matrix) -> tuple[int, int] | None:
    """The first two classes that are never confused, in neither direction."""
    pairs = np.argwhere(np.triu(matrix + matrix.T == 0, k=1))
    return (int(pairs[0, 0]), int(pairs[0, 1])) if len(pairs) else None


def _by_class(matrix: Matrix) -> dict[str, Figures]:
    total = matrix.sum()
    true_positive = np.diag(matrix)
    predicted, present = matrix.sum(axis=1), matrix.sum(axis=0)
    true_negative = total - predicted - present + true_positive
    sensitivity = _ratio(true_positive, present)
    specificity = _ratio(true_negative, total - present)
    # caret derives the predictive values from these two, so they are NaN where either is
    defined = np.where(np.isnan(sensitivity + specificity), np.nan, 1.0)
    return {
        "sensitivity": sensitivity,
        "specificity": specificity,
        "pos_pred_value": _ratio(true_positive, predicted) * defined,
        "neg_pred_value": _ratio(true_negative, total - predicted) * defined,
        "prevalence": _ratio(present, total),
        "detection_rate": _ratio(true_positive, total),
        "detection_prevalence": _ratio(predicted, total),
        "balanced_accuracy": (sensitivity + specificity) / 2,
    }


def _ratio(part: NDArray[np.int64], whole: NDArray[np.int64] | np.int64) -> Figures:
    """Elementwise part / whole, NaN for 0/0, without a warning."""
    undefined = np.full(part.shape, np.nan)
    ratio: Figures = np.divide(part, whole, out=undefined, where=np.asarray(whole) > 0)
    return ratio


def _why_undefined(figure: str, matrix: Matrix, names: Sequence[str]) -> str:
    pair = _never_confused(matrix)
    if matrix.sum() == 0 or pair is None:
        return "no rows"
    if figure == "kappa":
        return "a single class, in prediction and reference alike"
    return f"class {names[pair[0]]} and class {names[pair[1]]} never confused"


def _why_undefined_for(index: int, figure: str, matrix: Matrix, name: str) -> str:
    total, present = matrix.sum(), matrix[:, index].sum()
    if total == 0:
        return "no rows"
    if present == 0:
        return f"class {name} absent"
    if present == total:
        return f"no class but {name} present"
    if figure == "pos_pred_value":
        return f"class {name} never predicted"
    return f"no class but {name} predicted"
