"""All figures of R's `caret::confusionMatrix`: rows are predictions, columns the reference.

With two classes caret prints the figures of the first class only; here every class has its own.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from imageproof.base._dataset import Matrix
from imageproof.judge._groups import at_least, clopper_pearson

OVERALL = {  # the figures, each with the label that caret prints
    "accuracy": "Accuracy",
    "accuracy_lower": "95% CI lower",
    "accuracy_upper": "95% CI upper",
    "no_information_rate": "No Information Rate",
    "accuracy_p_value": "P-Value [Acc > NIR]",
    "kappa": "Kappa",
    "mcnemar_p_value": "McNemar's Test P-Value",
}
PLACES = 4
SMALLEST_P = float(np.finfo(np.float64).eps)
NOT_AVAILABLE = "n/a"

Figures = dict[str, float | None]


class Statistics(NamedTuple):
    """The figures of OVERALL, and those of each class; None where undefined.

    `undefined` lists each None: its `figure`, `class` (None for an overall figure) and `reason`.
    """

    overall: dict[str, Any]
    by_class: dict[str, Figures]
    undefined: list[dict[str, Any]]


class Tables(NamedTuple):
    """The figures as caret prints them: a row of strings per figure; notes say why one is n/a."""

    overall: pd.DataFrame
    by_class: pd.DataFrame
    notes: list[str]


def statistics(
    matrix: Matrix, *, classes: Sequence[str], effective: float | None = None
) -> Statistics:
    """The statistics of a confusion matrix int64 (classes, classes), ROWS = PREDICTION, not all 0.

    `classes` are their names. Source: Kuhn 2008, doi:10.18637/jss.v028.i05. Where rows come in
    groups, the accuracy is judged as that of `effective` rows; see `Intervals`.
    """
    overall = _overall(matrix, effective)
    table = _by_class(matrix)
    rows: Any = table.astype(object).where(table.notna(), None).to_dict("records")
    by_class = dict(zip(classes, rows, strict=True))
    undefined = [
        {"figure": figure, "class": name, "reason": _why_undefined(figure, name, matrix, classes)}
        for name, figures in [(None, overall), *by_class.items()]
        for figure, value in figures.items()
        if value is None
    ]
    return Statistics(overall, by_class, undefined)


def weakest(by_class: Mapping[str, Figures]) -> tuple[str, float]:
    """The class with the lowest sensitivity, and that sensitivity; at least one class has rows."""
    shares = {
        name: share
        for name, figures in by_class.items()
        if (share := figures["sensitivity"]) is not None
    }
    name = min(shares, key=shares.__getitem__)
    return name, shares[name]


def label_of(figure: str) -> str:
    return OVERALL.get(figure) or figure.replace("_", " ").title()


def as_tables(statistics: Statistics) -> Tables:
    """Overall figures to 4 decimals, figures of a class to 4 significant figures, as caret does."""
    overall = {
        label_of(figure): p_value_text(value)
        if figure.endswith("p_value") and value is not None
        else _text(value, PLACES)
        for figure, value in statistics.overall.items()
    }
    by_class = {
        f"Class: {name}": pd.Series(_column([*figures.values()]), [*map(label_of, figures)])
        for name, figures in statistics.by_class.items()
    }
    labels: dict[str, list[str]] = {}  # by reason, those of its figures
    for note in statistics.undefined:
        labels.setdefault(note["reason"], []).append(label_of(note["figure"]))
    notes = [f"{NOT_AVAILABLE}: {reason} ({', '.join(of)})" for reason, of in labels.items()]
    return Tables(pd.DataFrame({"value": overall}), pd.DataFrame(by_class), notes)


def p_value_text(value: float) -> str:
    """A p-value as R's `format.pval` writes it: 4 significant figures, «<2.2e-16» below."""
    return f"<{SMALLEST_P:.1e}" if value < SMALLEST_P else f"{value:.{PLACES}g}"


def _overall(matrix: Matrix, effective: float | None) -> Figures:
    total = int(matrix.sum())
    present = matrix.sum(axis=0)
    predicted = matrix.sum(axis=1)
    accuracy = int(np.trace(matrix)) / total
    no_information_rate = float(present.max() / total)
    rows = total if effective is None else effective
    lower, upper = clopper_pearson(accuracy, rows)
    kappa = None
    if np.count_nonzero(present + predicted) > 1:
        by_chance = (present / total * (predicted / total)).sum()
        kappa = float((accuracy - by_chance) / (1 - by_chance))
    return {
        "accuracy": accuracy,
        "accuracy_lower": lower,
        "accuracy_upper": upper,
        "no_information_rate": no_information_rate,
        "accuracy_p_value": at_least(accuracy, rows, no_information_rate),
        "kappa": kappa,
        "mcnemar_p_value": _mcnemar_p_value(matrix),
    }


def _mcnemar_p_value(matrix: Matrix) -> float | None:
    """R's `mcnemar.test`; None if two classes are never confused, since their term is 0/0.

    Two classes get the continuity correction, unless both errors are equally frequent; more
    classes get Bowker's test of symmetry.
    """
    from scipy.special import chdtrc

    pairs = np.triu_indices(len(matrix), k=1)
    counts = matrix.astype(np.float64)  # squares of large counts are beyond int64
    above = counts[pairs]
    below = counts.T[pairs]
    if not (above + below).all():
        return None
    correction = (len(matrix) == 2) * (above != below)
    statistic = (abs(above - below) - correction) ** 2 / (above + below)
    return float(chdtrc(len(statistic), statistic.sum()))


def _by_class(matrix: Matrix) -> pd.DataFrame:
    total = matrix.sum()
    hits = np.diag(matrix)
    predicted = matrix.sum(axis=1)
    present = matrix.sum(axis=0)
    true_negative = total - predicted - present + hits
    with np.errstate(invalid="ignore"):
        sensitivity = hits / present
        specificity = true_negative / (total - present)
        balanced = (sensitivity + specificity) / 2
        # caret derives the predictive values from these two, so they are NaN where either is
        defined = np.where(np.isnan(balanced), np.nan, 1.0)
        return pd.DataFrame(
            {
                "sensitivity": sensitivity,
                "specificity": specificity,
                "pos_pred_value": hits / predicted * defined,
                "neg_pred_value": true_negative / (total - predicted) * defined,
                "prevalence": present / total,
                "detection_rate": hits / total,
                "detection_prevalence": predicted / total,
                "balanced_accuracy": balanced,
            }
        )


def _why_undefined(
    figure: str,
    name: str | None,
    matrix: Matrix,
    classes: Sequence[str],
) -> str:
    """Why a figure of the class of this name does not exist; an overall one if that is None."""
    if figure == "kappa":
        return "a single class, in prediction and reference alike"
    if name is None:
        first, second = np.argwhere(np.triu(matrix + matrix.T == 0, k=1))[0]
        return f"class {classes[first]} and class {classes[second]} never confused"
    present = matrix[:, classes.index(name)].sum()
    if present == 0:
        return f"class {name} absent"
    if present == matrix.sum():
        return f"no class but {name} present"
    if figure == "pos_pred_value":
        return f"class {name} never predicted"
    return f"no class but {name} predicted"


def _column(values: Sequence[float | None]) -> list[str]:
    """The values as R prints a column: all with the decimals that give each one 4 figures."""
    texts = [
        np.format_float_positional(value, precision=PLACES, fractional=False, trim="-")
        for value in filter(None, values)
    ]
    decimals = max((len(text.partition(".")[2]) for text in texts), default=0)
    return [_text(value, decimals) for value in values]


def _text(value: float | None, decimals: int) -> str:
    return NOT_AVAILABLE if value is None else f"{value:.{decimals}f}"
