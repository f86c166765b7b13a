"""Answer sets: the classes that may be the true one, with the share of sets that hold it."""

from math import ceil, floor
from typing import Annotated

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from imageproof.base._dataset import Labels, Probabilities, Rows
from imageproof.base.files import StrictModel
from imageproof.judge._groups import accuracy

MOST_CLASSES = 2  # a larger answer set is no answer

Sets = NDArray[np.bool_]  # (n, classes), the classes in each row's answer set


class ConfidenceParams(StrictModel):
    coverage: Annotated[float, Field(gt=0, lt=1)]


def threshold(truth_probabilities: NDArray[np.float32], coverage: float) -> float:
    """The probability from which a class belongs to a set; 0 if there are too few rows.

    `truth_probabilities` float32 (n,), ascending: what each validation row's true class got. The
    threshold is the ⌈(n + 1) · coverage⌉-th largest: split conformal prediction (Sadinle, Lei and
    Wasserman 2019, doi:10.1080/01621459.2017.1395341).
    """
    rank = _missed(len(truth_probabilities), coverage)
    return float(truth_probabilities[rank - 1]) if rank else 0.0


def coverage_p_value(
    covered: int,
    rows: int,
    *,
    validation_rows: int,
    coverage: float,
    independent: float = 1.0,
) -> float:
    """The chance that so few of `rows` answer sets, or fewer, hold the true class: beta-binomial.

    Vovk 2012, «Conditional validity of inductive conformal predictors». The validation rows count
    as the share `independent` of them, 0…1; see `_groups.independent`.
    """
    from scipy.stats import betabinom

    missed = _missed(validation_rows, coverage)
    if not missed or not independent:
        return 1.0  # every set has all classes, or all rows are of one group
    held = validation_rows + 1 - missed
    return float(betabinom.cdf(covered, rows, independent * held, independent * missed))


def _missed(rows: int, coverage: float) -> int:
    """How many of these rows and one more may be missed by their sets: the threshold's rank."""
    return floor(round((rows + 1) * (1 - coverage), 6))  # 9 rows at 0.9 give 0.9999999999999998


def answer_sets(probabilities: Probabilities, threshold: float) -> Sets:
    return probabilities >= np.float32(threshold)


def members(probabilities: Probabilities, sets: Sets) -> list[NDArray[np.intp]]:
    """The classes of each row's answer set, the most probable first."""
    order = np.argsort(-probabilities, axis=1, kind="stable")
    return [row[:size] for row, size in zip(order, sets.sum(axis=1), strict=True)]


def unsure(sets: Sets) -> NDArray[np.bool_]:
    """True where the set cannot be used, bool (n,): empty, more than two classes, or all."""
    return is_unusable(sets.sum(axis=1), sets.shape[1])


def is_unusable(sizes: NDArray[np.int64], classes: int) -> NDArray[np.bool_]:
    return np.asarray((sizes == 0) | (sizes > min(MOST_CLASSES, classes - 1)))


def too_few_rows(rows: int, coverage: float) -> str:
    """Why `threshold` gives 0 for so many rows; empty if it does not."""
    if _missed(rows, coverage):
        return ""
    minimum = ceil(round(coverage / (1 - coverage), 6))
    finding = f"confidence.coverage {coverage:g} needs {minimum:,} validation rows"
    return f"every answer is unsure: {finding}, there are {rows:,}; add rows, or lower it"


def measure(
    sets: Sets,
    labels: Labels,
    groups: Rows | None = None,
) -> dict[str, float]:
    """Compare answer sets with the true classes int64 (n,), n at least 1; see `Intervals`.

    `coverage` is the share of the sets that hold the true class, with its exact 95 % interval
    `coverage_lower`…`coverage_upper`; `unsure` that of those that cannot be used.
    """
    hits = sets[np.arange(len(labels)), labels]
    return {
        **accuracy(hits, groups, "coverage"),
        "mean_set_size": float(sets.sum(axis=1).mean()),
        "unsure": float(unsure(sets).mean()),
    }
