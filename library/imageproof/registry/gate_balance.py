"""The gate's limits on shares of the rows, of each class too, and remarks on too few rows."""

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np

from imageproof.base.dataset import Hits, Labels, Rows
from imageproof.judge.confusion import balance, confusion_matrix
from imageproof.judge.few_rows import OF_ALL, lacking, least
from imageproof.judge.gate import Check, Contender, PromoteParams, unpaired
from imageproof.judge.groups import Intervals


def min_sensitivity(
    names: Sequence[str], hits: Hits, reference: Labels, limit: float, groups: Rows | None = None
) -> Check:
    """Each class counts by the lower end of its 95 % interval, 0 if it has no rows, or one group.

    See `Intervals`.
    """
    rows = np.bincount(reference, minlength=len(names))
    right = np.bincount(reference[hits], minlength=len(names))
    intervals = Intervals(hits, groups)
    of_class = [np.flatnonzero(reference == label) for label in range(len(names))]
    least = np.array([intervals.of(own)[0] if len(own) else 0.0 for own in of_class])
    worst = int(np.argmin(least))
    counted = f"class {names[worst]}: {right[worst]:,} of {rows[worst]:,} rows right"
    found = f"{counted}, so at least {least[worst]:.4f} (95 % interval)"
    figures = {"least_class": worst, "least_class_sensitivity": float(least[worst])}
    allowed, passed = f"at least {limit:g} in each class", bool(least[worst] >= limit)
    return Check("min_sensitivity", passed, found, allowed, figures)


def shares(
    predicted: Labels, champion: Contender | None, reference: Labels, params: PromoteParams
) -> Iterator[Check]:
    """Limits on accuracy, balanced accuracy and macro-F1 of the rows, and on their loss."""
    before = None
    if champion and champion.predicted is not None:
        before = _figures(champion.predicted, reference)
    for name, value in _figures(predicted, reference).items():
        if (limit := getattr(params, key := f"min_{name}")) is not None:
            found = f"{value:.4f} on {len(reference):,} hold-out rows"
            figures = {f"holdout_{name}": value, "holdout_rows": len(reference)}
            yield Check(key, value >= limit, found, f"at least {limit:g}", figures)
        if (limit := getattr(params, key := f"max_{name}_loss")) is None:
            continue
        if before:
            change = value - before[name]
            found = f"{value:.4f} against {before[name]:.4f}: {change:+.4f}"
            figures = {f"champion_{name}": before[name], f"{name}_change": change}
            allowed = f"a loss of at most {limit:g}"
            yield Check(key, -change <= limit + 1e-9, found, allowed, figures)
        else:
            yield unpaired(key, champion)


def _figures(predicted: Labels, reference: Labels) -> dict[str, float]:
    classes = int(max(predicted.max(), reference.max())) + 1
    balanced = balance(confusion_matrix(predicted, reference, classes=classes))
    return {"accuracy": float(np.mean(predicted == reference)), **balanced}


def with_remarks(
    checks: Sequence[Check], reference: Labels, params: PromoteParams, names: Sequence[str]
) -> list[Check]:
    """The checks; those that judge by too few rows say so."""
    counts = np.bincount(reference, minlength=len(names)).tolist()
    few, remarked = lacking(params, counts), []
    for check in checks:
        if check.figures and check.name in few:
            rows = f"{sum(counts):,}" if check.name in OF_ALL else least(counts, names)
            remark = f"; rows too few to tell: {rows}, {few[check.name]:,} needed"
            check = replace(check, found=check.found + remark)
        remarked.append(check)
    return remarked
