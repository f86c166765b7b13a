"""Answer sets: the classes that may be the true one, with the share of sets that hold it."""

from math import ceil, floor
from typing import Annotated, NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from imageproof.base.dataset import Labels, Probabilities, Rows
from imageproof.base.files import StrictModel

TEMPERATURE_1 = (
    "its temperature stays 1, as all validation rows are right or no other fits them better"
)
MOST_CLASSES = 2  # a larger answer set is no answer

Sets = NDArray[np.bool_]  # (n, classes), the classes in each row's answer set


class ConfidenceParams(StrictModel):
    coverage: Annotated[float, Field(gt=0, lt=1)]


def threshold(truth_probabilities: NDArray[np.float32], coverage: float) -> float:
    """The probability from which a class belongs to a set; 0 if there are too few rows.

    Split conformal prediction: rank ⌈(n + 1) · coverage⌉ of n (Sadinle, Lei and Wasserman 2019,
    doi:10.1080/01621459.2017.1395341). `truth_probabilities` float32 (n,), ascending.
    """
    missed = (len(truth_probabilities) + 1) * (1 - coverage)
    rank = floor(round(missed, 6))  # 10 rows at 0.9 give 0.9999999999999998
    return float(truth_probabilities[rank - 1]) if rank else 0.0


def coverage_p_value(covered: int, rows: int, *, validation_rows: int, coverage: float) -> float:
    """The chance that so few of `rows` answer sets, or fewer, hold the true class: beta-binomial.

    Vovk 2012, «Conditional validity of inductive conformal predictors».
    """
    from scipy.stats import betabinom

    missed = floor(round((validation_rows + 1) * (1 - coverage), 6))
    if not missed:
        return 1.0  # every set has all classes
    return float(betabinom.cdf(covered, rows, validation_rows + 1 - missed, missed))


def answer_sets(probabilities: Probabilities, threshold: float) -> Sets:
    return probabilities >= np.float32(threshold)


def unsure(sets: Sets) -> NDArray[np.bool_]:
    """True where the set cannot be used, bool (n,): empty, more than two classes, or all."""
    return no_answer(sets.sum(axis=1), sets.shape[1])


def no_answer(sizes: NDArray[np.int64], classes: int) -> NDArray[np.bool_]:
    return np.asarray((sizes == 0) | (sizes > min(MOST_CLASSES, classes - 1)))


def too_few_rows(rows: int, coverage: float) -> str:
    """Why `threshold` gives 0 for so many rows; empty if it does not."""
    needed = ceil(round(coverage / (1 - coverage), 6))
    if rows >= needed:
        return ""
    found = f"confidence.coverage {coverage:g} needs {needed:,} validation rows, there are {rows:,}"
    return f"every answer is unsure: {found}; validate on more, or ask for less"


class Coverage(NamedTuple):
    """Shares of answer sets: those with the true class (exact 95 % interval), unsure, empty."""

    coverage: float
    lower: float
    upper: float
    mean_size: float
    unsure: float
    empty: float


def measure(sets: Sets, labels: Labels, groups: Rows | None = None) -> Coverage:
    """Compare answer sets with the true classes int64 (n,), n at least 1; see `Intervals`."""
    from imageproof.judge.groups import Intervals  # SciPy takes a second to import

    held, sizes = sets[np.arange(len(labels)), labels], sets.sum(axis=1)
    hits, (low, high) = int(held.sum()), Intervals(held, groups).of()
    shares = float(unsure(sets).mean()), float((sizes == 0).mean())
    return Coverage(hits / len(labels), low, high, float(sizes.mean()), *shares)
