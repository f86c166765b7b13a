"""Whether the rows that judge models are no copies, and so many that a limit means anything."""

from collections.abc import Mapping, Sequence
from math import ceil, log
from typing import Any

from imageproof.judge.limits import PromoteParams

SIDE = 0.025  # of the exact 95 % interval: that of n rows, all right, begins at SIDE^(1/n)
OF_ALL = "min_unseen", "max_accuracy_loss", "max_total_loss"
OF_CLASS = "max_sensitivity_loss", "min_sensitivity"
OF_EACH = (  # a row counts for one of all rows only if its class has as many as the others
    *("min_balanced_accuracy", "max_balanced_accuracy_loss"),
    *("min_macro_f1", "max_macro_f1_loss"),
)


def rows_needed(params: PromoteParams, counts: Sequence[int]) -> dict[str, int]:
    """For each limit of the gate that so few hold-out rows cannot prove: how many it needs.

    `counts` are the rows of each class. With all rows right, the exact 95 % interval must reach a
    minimum; a loss of one row must be allowed. For macro-F1, where a wrong row counts half in its
    own class and half in another, that is so to first order.
    """
    rows = {}
    for key in (*OF_CLASS, *OF_ALL, *OF_EACH):
        if not (limit := getattr(params, key)):
            continue
        if key == "min_unseen":
            bound = limit
        else:
            limit = min(limit, 0.9999)
            bound = log(SIDE, limit) if key.startswith("min_") else 1 / limit
        classes = len(counts) if key in OF_EACH else 1
        minimum = ceil(bound / classes - 1e-9)
        if minimum > (sum(counts) if key in OF_ALL else min(counts)):
            rows[key] = minimum
    return rows


def fewest(counts: Sequence[int], names: Sequence[str]) -> str:
    """The class that has fewest rows, and how many."""
    rows, name = min(zip(counts, names, strict=True), key=lambda pair: pair[0])
    return f"{rows:,} of class {name}"


def split_warnings(
    summary: Mapping[str, Any], params: PromoteParams, names: Sequence[str]
) -> list[str]:
    """What split.json says against a split: copies of training rows, and too few hold-out rows."""
    return _copies(summary) + _few_holdout_rows(summary, params, names)


def _copies(summary: Mapping[str, Any]) -> list[str]:
    rows = summary["rows"]
    counts = [f"{n:,} of {rows[part]:,} {part}" for part, n in summary["copies"].items() if n]
    mend = "accuracy on them is too high; set split.copies: drop (or together)"
    return [f"{', '.join(counts)} rows are copies of training images: {mend}"] if counts else []


def _few_holdout_rows(
    summary: Mapping[str, Any], params: PromoteParams, names: Sequence[str]
) -> list[str]:
    """A line if limits of the gate ask for more hold-out rows than there are."""
    by_class = summary["class_counts"]["holdout"]
    counts = [by_class.get(str(label), 0) for label in range(len(names))]
    limits = [
        f"promote.{key} ({rows:,}{' of each class' * (key not in OF_ALL)})"
        for key, rows in rows_needed(params, counts).items()
    ]
    if not limits:
        return []
    finding = f"{sum(counts):,} hold-out rows, {fewest(counts, names)}, are too few for "
    mend = "; raise `holdout` of split, add rows, or change these limits"
    return [finding + ", ".join(limits) + mend]
