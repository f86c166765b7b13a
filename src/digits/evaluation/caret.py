"""All figures of R's `caret::confusionMatrix`: rows are predictions, columns the reference.

With two classes caret prints the figures of the first class only; here every class has its own.
"""

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import binomtest, chi2

from digits.core.dataset import Matrix

OVERALL = {  # the figures, each with the label that caret prints
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

DIGITS = 4
SMALLEST_P = float(np.finfo(np.float64).eps)
NOT_AVAILABLE = "n/a"


class Statistics(NamedTuple):
    """The figures of OVERALL, and per class those of BY_CLASS; None where undefined.

    `undefined` lists each None: its `figure`, `class` (None for an overall figure) and `reason`.
    """

    overall: dict[str, float | None]
    by_class: dict[str, dict[str, float | None]]
    undefined: list[dict[str, Any]]


class Tables(NamedTuple):
    """The figures as caret prints them: a row of strings per figure; notes say why one is n/a."""

    overall: pd.DataFrame
    by_class: pd.DataFrame
    notes: list[str]


def statistics(matrix: Matrix, *, classes: Sequence[str] | None = None) -> Statistics:
    """The statistics of a confusion matrix int64 (classes, classes), ROWS = PREDICTION.

    `classes` are names; by default numbers. Source: Kuhn 2008, doi:10.18637/jss.v028.i05.
    """
    names = list(classes or map(str, range(len(matrix))))
    overall = _overall(matrix)
    undefined = [
        {"figure": figure, "class": None, "reason": _why_undefined(figure, None, matrix, names)}
        for figure, value in overall.items()
        if value is None
    ]
    by_class: dict[str, dict[str, float | None]] = {name: {} for name in names}
    for figure, values in _by_class(matrix).items():
        for k, (name, value) in enumerate(zip(names, values.tolist(), strict=True)):
            by_class[name][figure] = None if math.isnan(value) else value
            if math.isnan(value):
                reason = _why_undefined(figure, k, matrix, names)
                undefined.append({"figure": figure, "class": name, "reason": reason})
    return Statistics(overall, by_class, undefined)


def as_tables(statistics: Statistics) -> Tables:
    """Overall figures to 4 decimals, figures of a class to 4 significant digits, as caret does."""
    overall = [_overall_text(figure, value) for figure, value in statistics.overall.items()]
    by_class = {
        f"Class: {name}": _column_texts(list(figures.values()))
        for name, figures in statistics.by_class.items()
    }
    labels: dict[str, dict[str, None]] = {}  # of each reason, without repetition
    for note in statistics.undefined:
        labels.setdefault(note["reason"], {})[LABELS[note["figure"]]] = None
    return Tables(
        pd.DataFrame({"value": overall}, index=[*OVERALL.values()]),
        pd.DataFrame(by_class, index=[*BY_CLASS.values()]),
        [f"{NOT_AVAILABLE}: {reason} ({', '.join(of)})" for reason, of in labels.items()],
    )


def p_value_text(value: float) -> str:
    """A p-value as R's `format.pval` writes it: 4 significant digits, «<2.2e-16» below."""
    return f"<{SMALLEST_P:.1e}" if value < SMALLEST_P else f"{value:.{DIGITS}g}"


def _overall(matrix: Matrix) -> dict[str, float | None]:
    total = int(matrix.sum())
    if total == 0:
        return dict.fromkeys(OVERALL)
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


def _kappa(matrix: Matrix) -> float | None:
    """Cohen's kappa; None if predictions and reference hold the same single class only."""
    if np.count_nonzero(matrix.sum(axis=0) + matrix.sum(axis=1)) == 1:
        return None
    total = matrix.sum()
    by_chance = (matrix.sum(axis=0) / total * (matrix.sum(axis=1) / total)).sum()
    return float((np.trace(matrix) / total - by_chance) / (1 - by_chance))


def _mcnemar_p_value(matrix: Matrix) -> float | None:
    """R's `mcnemar.test`; None if two classes are never confused, since their term is 0/0.

    Two classes get the continuity correction, unless both errors are equally frequent; more
    classes get Bowker's test of symmetry.
    """
    if _never_confused(matrix):
        return None
    pairs = np.triu_indices(len(matrix), k=1)
    above, below = matrix[pairs], matrix.T[pairs]
    away = abs(above - below) - (len(matrix) == 2) * (above != below)
    return float(chi2.sf((away**2 / (above + below)).sum(), df=len(away)))


def _never_confused(matrix: Matrix) -> list[list[int]]:
    pairs: list[list[int]] = np.argwhere(np.triu(matrix + matrix.T == 0, k=1)).tolist()
    return pairs


def _by_class(matrix: Matrix) -> dict[str, NDArray[np.float64]]:
    total = matrix.sum()
    true_positive = np.diag(matrix)
    predicted, present = matrix.sum(axis=1), matrix.sum(axis=0)
    true_negative = total - predicted - present + true_positive
    with np.errstate(invalid="ignore"):
        sensitivity = true_positive / present
        specificity = true_negative / (total - present)
        # caret derives the predictive values from these two, so they are NaN where either is
        defined = np.where(np.isnan(sensitivity + specificity), np.nan, 1.0)
        return {
            "sensitivity": sensitivity,
            "specificity": specificity,
            "pos_pred_value": true_positive / predicted * defined,
            "neg_pred_value": true_negative / (total - predicted) * defined,
            "prevalence": present / total,
            "detection_rate": true_positive / total,
            "detection_prevalence": predicted / total,
            "balanced_accuracy": (sensitivity + specificity) / 2,
        }


def _why_undefined(figure: str, k: int | None, matrix: Matrix, names: Sequence[str]) -> str:
    if matrix.sum() == 0:
        return "no rows"
    if figure == "kappa":
        return "a single class, in prediction and reference alike"
    if k is None:
        first, second = _never_confused(matrix)[0]
        return f"class {names[first]} and class {names[second]} never confused"
    if (present := matrix[:, k].sum()) == 0:
        return f"class {names[k]} absent"
    if present == matrix.sum():
        return f"no class but {names[k]} present"
    if figure == "pos_pred_value":
        return f"class {names[k]} never predicted"
    return f"no class but {names[k]} predicted"


def _overall_text(figure: str, value: float | None) -> str:
    if value is None:
        return NOT_AVAILABLE
    return p_value_text(value) if figure.endswith("p_value") else f"{value:.{DIGITS}f}"


def _column_texts(values: Sequence[float | None]) -> list[str]:
    """All with the decimals that one value needs for 4 digits, as R prints a column."""
    decimals = 0
    for value in filter(None, values):
        text = np.format_float_positional(value, precision=DIGITS, fractional=False, trim="-")
        decimals = max(decimals, len(text.partition(".")[2]))
    return [NOT_AVAILABLE if value is None else f"{value:.{decimals}f}" for value in values]
