"""Answer sets: the classes that may be the true one, with the share of sets that hold it."""

from math import ceil, floor
from typing import Annotated, NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from digits.core.dataset import Labels, Probabilities
from digits.core.files import StrictModel

MOST_CLASSES = 2  # a larger answer set is no answer

Sets = NDArray[np.bool_]  # (n, classes), the classes in each row's answer set


class ConfidenceParams(StrictModel):
    """`confidence:` in params.yaml: the share of the answer sets that hold the true class."""

    coverage: Annotated[float, Field(gt=0, lt=1)]


def threshold(truth_probabilities: NDArray[np.float32], coverage: float) -> float:
    """The probability from which a class belongs to an answer set.

    Split conformal prediction: of new rows like the n given ones, at least the share `coverage`
    get a set that holds their true class (Sadinle, Lei and Wasserman 2019, «Least Ambiguous
    Set-Valued Classifiers with Bounded Error Levels»; with 1 − p as the score, rank
    ⌈(n + 1) · coverage⌉ of n). 0, hence every class, if n is too small to promise that.
    `truth_probabilities` float32 (n,), ascending, are of rows that did not train the model.
    """
    missed = (len(truth_probabilities) + 1) * (1 - coverage)
    rank = floor(round(missed, 6))  # 10 rows at 0.9 give 0.9999999999999998
    return float(truth_probabilities[rank - 1]) if rank else 0.0


def answer_sets(probabilities: Probabilities, threshold: float) -> Sets:
    """Which classes each row's answer set holds: those at least as probable as `threshold`."""
    return probabilities >= np.float32(threshold)


def unsure(sets: Sets) -> NDArray[np.bool_]:
    """True where the set cannot be used, bool (n,): empty, more than two classes, or all."""
    return no_answer(sets.sum(axis=1), sets.shape[1])


def no_answer(sizes: NDArray[np.int64], classes: int) -> NDArray[np.bool_]:
    """`unsure` of sets with so many of the classes."""
    return np.asarray((sizes == 0) | (sizes > min(MOST_CLASSES, classes - 1)))


def too_few_rows(rows: int, coverage: float) -> str:
    """Why `threshold` gives 0 for so many rows, and what mends it; empty if it does not."""
    needed = ceil(round(coverage / (1 - coverage), 6))
    if rows >= needed:
        return ""
    return (
        f"every answer is unsure: confidence.coverage {coverage:g} needs {needed:,} validation "
        f"rows, there are {rows:,}; validate on more, or ask for less"
    )


class Coverage(NamedTuple):
    """What answer sets are worth on rows whose truth is known.

    Attributes:
        coverage: share of the sets that hold the true class.
        lower, upper: its exact 95 % interval (Clopper and Pearson).
        mean_size: classes in a set, on average.
        unsure: share of the sets that are no answer, see `unsure`.
        empty: share of the sets without any class.
    """

    coverage: float
    lower: float
    upper: float
    mean_size: float
    unsure: float
    empty: float


def measure(sets: Sets, labels: Labels) -> Coverage:
    """Compare at least one answer set with the true classes int64 (n,)."""
    from scipy.stats import binomtest

    hits = int(sets[np.arange(len(labels)), labels].sum())
    interval = binomtest(hits, len(labels)).proportion_ci()
    sizes = sets.sum(axis=1)
    return Coverage(
        coverage=hits / len(labels),
        lower=float(interval.low),
        upper=float(interval.high),
        mean_size=float(sizes.mean()),
        unsure=float(unsure(sets).mean()),
        empty=float((sizes == 0).mean()),
    )
