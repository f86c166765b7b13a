"""The statistics of a confusion matrix as tables for people and as JSON for programs."""

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from digits.evaluation.caret import BY_CLASS, LABELS, Statistics, Undefined

DIGITS = 4
SMALLEST_P = float(np.finfo(np.float64).eps)
NOT_AVAILABLE = "n/a"


class Tables(NamedTuple):
    """The figures as caret prints them; every cell is a string.

    `overall`: one row per figure, column `value`. `by_class`: one row per figure, one column
    per class. `notes`: why a cell is n/a, one line per reason.
    """

    overall: pd.DataFrame
    by_class: pd.DataFrame
    notes: list[str]


def as_tables(statistics: Statistics) -> Tables:
    """Overall figures to 4 decimals, figures of a class to 4 significant digits, as caret does."""
    overall = [_overall_text(figure, value) for figure, value in statistics.overall.items()]
    columns = zip(*statistics.by_class.values(), strict=True)
    by_class = {
        f"Class: {name}": _column_texts(values)
        for name, values in zip(statistics.classes, columns, strict=True)
    }
    return Tables(
        pd.DataFrame({"value": overall}, index=[LABELS[figure] for figure in statistics.overall]),
        pd.DataFrame(by_class, index=[LABELS[figure] for figure in statistics.by_class]),
        _notes(statistics),
    )


def as_dict(statistics: Statistics) -> dict[str, Any]:
    """The statistics for JSON: `overall`, `by_class` (class, then figure), and `undefined`.

    An undefined figure is None, and `undefined` lists it with its reason.
    """
    return {
        "overall": {figure: _or_none(value) for figure, value in statistics.overall.items()},
        "by_class": {
            name: {figure: _or_none(values[row]) for figure, values in statistics.by_class.items()}
            for row, name in enumerate(statistics.classes)
        },
        "undefined": [
            {"figure": figure, "class": label, "reason": reason}
            for figure, label, reason in statistics.undefined
        ],
    }


def from_dict(written: Mapping[str, Any]) -> Statistics:
    """The statistics of which `as_dict` made `written`."""
    by_class: dict[str, dict[str, float | None]] = written["by_class"]
    return Statistics(
        tuple(by_class),
        {figure: _or_nan(value) for figure, value in written["overall"].items()},
        {
            figure: tuple(_or_nan(figures[figure]) for figures in by_class.values())
            for figure in BY_CLASS
        },
        tuple(Undefined(u["figure"], u["class"], u["reason"]) for u in written["undefined"]),
    )


def p_value_text(value: float) -> str:
    """A p-value to 4 significant digits, as R's `format.pval`: «<2.2e-16» below its precision."""
    return f"<{SMALLEST_P:.1e}" if value < SMALLEST_P else f"{value:.{DIGITS}g}"


def _overall_text(figure: str, value: float) -> str:
    if math.isnan(value):
        return NOT_AVAILABLE
    return p_value_text(value) if figure.endswith("p_value") else f"{value:.{DIGITS}f}"


def _column_texts(values: tuple[float, ...]) -> list[str]:
    """One column as R prints it: all with the decimals that one value needs for 4 digits."""
    defined = [value for value in values if not math.isnan(value)]
    decimals = max(map(_decimals, defined), default=0)
    return [NOT_AVAILABLE if math.isnan(value) else f"{value:.{decimals}f}" for value in values]


def _decimals(value: float) -> int:
    text = np.format_float_positional(value, precision=DIGITS, fractional=False, trim="-")
    return len(text.partition(".")[2])


def _notes(statistics: Statistics) -> list[str]:
    figures: dict[str, list[str]] = {}
    for figure, _, reason in statistics.undefined:
        labels = figures.setdefault(reason, [])
        if LABELS[figure] not in labels:
            labels.append(LABELS[figure])
    return [
        f"{NOT_AVAILABLE}: {reason} ({', '.join(labels)})" for reason, labels in figures.items()
    ]


def _or_none(value: float) -> float | None:
    return None if math.isnan(value) else value


def _or_nan(value: float | None) -> float:
    return math.nan if value is None else value
