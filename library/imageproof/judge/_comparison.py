"""Models on the same rows: the gain in accuracy, and its price in time."""

from collections.abc import Mapping
from math import inf
from typing import NamedTuple

import numpy as np

from imageproof.base._dataset import Hits, Labels, Rows
from imageproof.judge._groups import (
    Alternative,
    Values,
    accuracy,
    at_least,
    at_most,
    independent,
    sign_flips,
)

SIGNIFICANCE = 0.05
ERRORS_COUNTED_IN = 10_000  # images


class Candidate(NamedTuple):
    """Predicted classes int64 (n,), and training time in s, None if it cannot be compared."""

    name: str
    predicted: Labels
    train_s: float | None


class Pair(NamedTuple):
    """Two models compared on the same rows; `better` is the more accurate, on a tie the faster.

    `gain` in accuracy has the 95 % interval `lower`…`upper`. `p_value` is None if so few groups
    differ that no test can tell. `better_right` and `other_right` are the rows that only this model
    gets right; `disagreements` counts different answers, right or wrong. `time_ratio` is that of
    the training times, better / other. `seconds_per_error` is the additional training time in s per
    error avoided in 10,000 images. Both are None if times cannot be compared, the latter also if
    the gain is `within_noise`.
    """

    better: str
    other: str
    rows: int
    gain: float
    lower: float
    upper: float
    p_value: float | None
    better_right: list[int]
    other_right: list[int]
    disagreements: int
    time_ratio: float | None
    seconds_per_error: float | None
    within_noise: bool


def compare_pair(a: Candidate, b: Candidate, reference: Labels, groups: Rows | None = None) -> Pair:
    """Compare two models on the same rows; `reference` int64 (n,) is the truth, n at least 1.

    Where rows come in `groups`, the test is `sign_flips`, and the interval that of the effective
    number of independent rows; see `effective_rows`.
    """

    def errors(model: Candidate) -> Labels:
        return np.not_equal(model.predicted, reference).astype(np.int64)

    better, rival = sorted((a, b), key=lambda m: (errors(m).sum(), m.train_s or inf, m.name))
    change = errors(rival) - errors(better)
    gain = float(change.sum() / len(change))
    lower, upper, p_value = paired_test(change, groups)
    within_noise = is_noise(lower, upper, p_value)
    ratio = price = None
    if better.train_s and rival.train_s:
        ratio = better.train_s / rival.train_s
        if not within_noise:
            price = (better.train_s - rival.train_s) / (gain * ERRORS_COUNTED_IN)
    return Pair(
        better=better.name,
        other=rival.name,
        rows=len(change),
        gain=gain,
        lower=lower,
        upper=upper,
        p_value=p_value,
        better_right=np.flatnonzero(change > 0).tolist(),
        other_right=np.flatnonzero(change < 0).tolist(),
        disagreements=int(np.count_nonzero(better.predicted != rival.predicted)),
        time_ratio=ratio,
        seconds_per_error=price,
        within_noise=within_noise,
    )


def compare_with_baseline(
    hits: Hits, baseline_hits: Hits, groups: Rows | None
) -> dict[str, float | None]:
    """The baseline's `accuracy`, and the model's `gain` over it, each with its 95 % interval.

    The hits bool (n,) are those of the same rows. `p_value` is that of the paired test, None if too
    few groups differ; see `compare_pair`.
    """
    gain_lower, gain_upper, p_value = paired_test(hits.astype(int) - baseline_hits, groups)
    return {
        **accuracy(baseline_hits, groups),
        "gain": float(hits.mean() - baseline_hits.mean()),
        "gain_lower": gain_lower,
        "gain_upper": gain_upper,
        "p_value": p_value,
    }


def is_noise(lower: float, upper: float, p_value: float | None) -> bool:
    """Whether a gain may be chance, by what `paired_test` returns."""
    return p_value is None or p_value >= SIGNIFICANCE or lower <= 0 <= upper


def paired_test(change: Values, groups: Rows | None) -> tuple[float, float, float | None]:
    """The 95 % interval of the gain, and its p-value; `change` is 1 where only the better is right,
    -1 where only the other one is, else 0."""
    p_value, _ = paired_p_value(change, groups)
    share = independent(change, groups)
    gained, lost = (share * np.count_nonzero(change == sign) for sign in (1, -1))
    return *paired_interval(gained, lost, share * len(change)), p_value


def paired_p_value(
    change: Values, groups: Rows | None, *, alternative: Alternative = "two-sided"
) -> tuple[float | None, int]:
    """The p-value of a paired test, and how many rows, or `groups`, differ; see `paired_test`.

    `less` tests whether the gain is below zero. Without groups the test is McNemar's, with groups
    that of `sign_flips`.
    """
    if groups is not None:
        return sign_flips(change, groups, alternative=alternative)
    gained, lost = (int(np.count_nonzero(change == sign)) for sign in (1, -1))
    return mcnemar_exact(gained, lost, alternative=alternative), gained + lost


def paired_interval(only_a: float, only_b: float, rows: float) -> tuple[float, float]:
    """95 % interval of accuracy(a) − accuracy(b); `only_a`: rows that only a gets right.

    Bonett and Price's adjusted Wald interval (2012, doi:10.3102/1076998611411915), which keeps its
    coverage where the models differ on few rows (Fagerland et al. 2014, doi:10.1002/sim.6148).
    """
    from scipy.special import ndtri

    share_a = (only_a + 1) / (rows + 2)
    share_b = (only_b + 1) / (rows + 2)
    centre = share_a - share_b
    half = ndtri(0.975) * np.sqrt((share_a + share_b - centre**2) / (rows + 2))
    return max(-1.0, float(centre - half)), min(1.0, float(centre + half))


def mcnemar_exact(only_a: int, only_b: int, *, alternative: Alternative) -> float:
    """P-value of McNemar's exact test (1947, doi:10.1007/BF02295996); `less`: that a is worse.

    `only_a` and `only_b` count the rows that only this model gets right.
    """
    rows = only_a + only_b
    if not rows:
        return 1.0
    worse = at_most(only_a / rows, rows, 0.5)
    if alternative == "less":
        return worse
    return min(1.0, 2 * min(worse, at_least(only_a / rows, rows, 0.5)))


def pareto_front(points: Mapping[str, tuple[float, float]]) -> list[str]:
    """The models that no other dominates in training time and accuracy, fastest first."""
    front = [
        name
        for name, (time, accuracy) in points.items()
        if not any(
            t <= time and a >= accuracy and (t, a) != (time, accuracy) for t, a in points.values()
        )
    ]
    return sorted(front, key=lambda name: (points[name], name))
