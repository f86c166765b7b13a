"""Tests and intervals where rows come in groups, such as a writer's images.

Rows of one group are right or wrong together, so that many rows of few groups say little.
"""

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from imageproof.base._dataset import Floats, Hits, Labels, Rows

FEWEST = 6  # groups that differ: of fewer no two-sided p-value is below 0.05
TAIL = 0.025  # the probability beyond each end of a 95 % interval

# SciPy takes a second to import: functions import it, so that params are read without it.

Values = NDArray[np.int64] | Hits  # (n,)
Alternative = Literal["two-sided", "less"]


def sign_flips(
    differences: Values, groups: Rows, *, alternative: Alternative = "two-sided"
) -> tuple[float | None, int]:
    """P-value of a paired test whose units are groups, and how many groups differ.

    `differences` (n,) are 1 where only one model is right, -1 where only the other one is, else 0;
    `less`: that there are more of the latter. If both are equally good, the sum of a group may as
    well have the other sign (Fisher's randomization test). The distribution over all signs is
    exact, by its characteristic function, the product of cosines (Pagano and Tritchler 1983,
    doi:10.1080/01621459.1983.10477990). With each row in a group of its own, it is McNemar's test.
    There is no p-value of fewer than FEWEST groups.
    """
    sums, _ = _sums(differences, groups)
    sizes, counts = np.unique(np.abs(sums[sums != 0]), return_counts=True)
    differing = int(counts.sum())
    if differing < FEWEST:
        return None, differing
    total = int(sizes @ counts)
    angles = 2 * np.pi * np.arange(2 * total + 1) / (2 * total + 1)
    waves = np.prod(np.cos(np.outer(sizes, angles)) ** counts[:, None], axis=0)
    chances = np.fft.fftshift(np.fft.fft(waves).real) / len(angles)  # of sums -total…total
    observed = int(sums.sum())
    if alternative == "less":
        p_value = chances[: total + observed + 1].sum()
    else:  # the distribution is symmetric
        p_value = 2 * chances[: total - abs(observed) + 1].sum()
    return float(np.clip(p_value, 0.5**differing, 1)), differing


class Intervals:
    """95 % intervals of the share of rows that are right, in all rows and in parts of them.

    They are the exact ones of Clopper and Pearson (1934), with groups on `effective_rows`. The
    correlation of a part is its own or that of all rows, whichever is larger: that of all rows does
    not show that a writer has trouble with one class; its own is 0 where a small part is all right.
    """

    def __init__(self, hits: Values, groups: Rows | None = None) -> None:
        self._hits = hits
        self._groups = groups
        self._correlation = 0.0 if groups is None else correlation(hits, groups)

    def of(self, rows: Rows | slice = slice(None)) -> tuple[float, float]:
        return clopper_pearson(float(self._hits[rows].mean()), self.effective(rows))

    def effective(self, rows: Rows | slice = slice(None)) -> float:
        """How many independent rows tell as much as these."""
        hits = self._hits[rows]
        if self._groups is None or not len(hits):
            return float(len(hits))
        groups = self._groups[rows]
        return effective_rows(groups, max(self._correlation, correlation(hits, groups)))

    def effective_by_class(self, labels: Labels, classes: int) -> list[float]:
        """How many independent rows tell as much as those of each true class int64 (n,)."""
        return [self.effective(np.flatnonzero(labels == label)) for label in range(classes)]


def independent(values: Values, groups: Rows | None) -> float:
    """The share of the rows, 0…1, that would tell as much if they were independent."""
    return Intervals(values, groups).effective() / len(values)


def accuracy(hits: Hits, groups: Rows | None, name: str = "accuracy") -> dict[str, float]:
    """The share of hits as `name`, and its 95 % interval as `NAME_lower` and `NAME_upper`; see
    `Intervals`.
    """
    lower, upper = Intervals(hits, groups).of()
    return {name: float(hits.mean()), f"{name}_lower": lower, f"{name}_upper": upper}


def clopper_pearson(share: float, rows: float) -> tuple[float, float]:
    """The exact interval of a share 0…1 of so many rows, which need not be a whole number."""
    from scipy.special import betaincinv  # imported in half of the time of scipy.stats

    hits = share * rows
    misses = (1 - share) * rows
    lower = betaincinv(hits, misses + 1, TAIL) if hits else 0.0
    upper = betaincinv(hits + 1, misses, 1 - TAIL) if misses else 1.0
    return float(lower), float(upper)


def at_least(share: float, rows: float, chance: float) -> float:
    """The binomial probability that at least this share of so many rows is right.

    Each is right with the probability `chance`. By the beta distribution, as `rows` need not be a
    whole number.
    """
    from scipy.special import betainc

    hits = share * rows
    return float(betainc(hits, rows - hits + 1, chance)) if hits else 1.0


def at_most(share: float, rows: float, chance: float) -> float:
    """The binomial probability that at most this share of so many rows is right."""
    return at_least(1 - share, rows, 1 - chance)


def correlation(values: Values, groups: Rows) -> float:
    """The correlation 0…1 of two rows of one group; 0 if it cannot be told, as of equal values.

    The design effect of Rao and Scott 1992, doi:10.2307/2532311, is the variance of the mean,
    estimated from the groups' sums, over that of independent rows. This correlation gives the same
    effect by the formula of `effective_rows`.
    """
    sums, sizes = _sums(values - values.mean(dtype=np.float64), groups)
    spread = float(np.var(values)) * len(values)
    pairs = sizes @ (sizes - 1)
    if not spread or not pairs or len(sizes) < 2:
        return 0.0
    effect = len(sizes) / (len(sizes) - 1) * (sums @ sums) / spread
    return float(np.clip((effect - 1) * len(values) / pairs, 0, 1))


def effective_rows(groups: Rows, correlation: float) -> float:
    """How many independent rows tell as much as these rows: n / deff, and 0 of one group.

    deff = 1 + correlation · (m - 1), by Kish 1965, «Survey Sampling». m = Σ size² / n is the mean
    size of a row's group. `most_independent` corrects for few groups. It takes their number to be
    n / m: fewer than there are, if one is far larger than the others.
    """
    _, sizes = np.unique(groups, return_counts=True)
    rows = len(groups)
    mean_size = float(sizes @ sizes) / rows
    effect = 1 + correlation * (mean_size - 1)
    return most_independent(rows, rows / mean_size) / effect


def most_independent(rows: float, groups: float) -> float:
    """How many independent rows so many rows in groups are worth at most; 0 of one group.

    An interval whose deff is estimated from groups has `groups` - 1 degrees of freedom. The wider
    quantile of Student's t counts as fewer rows: Korn and Graubard 1998, «Confidence intervals for
    proportions with small expected number of positive counts».
    """
    from scipy.special import stdtrit

    if groups <= 1:
        return 0.0
    return float(rows * (stdtrit(rows - 1, TAIL) / stdtrit(groups - 1, TAIL)) ** 2)


def _sums(values: Values, groups: Rows) -> tuple[Floats, Rows]:
    """The sum of the values, and the number of rows, of each group."""
    _, group, sizes = np.unique(groups, return_inverse=True, return_counts=True)
    return np.asarray(np.bincount(group, weights=values), np.float64), np.asarray(sizes, np.int64)
