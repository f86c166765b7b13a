"""Models on the same rows: the gain in accuracy, its price in time, and verdicts in words."""

from collections.abc import Mapping, Sequence
from math import inf
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.stats import binomtest, norm

SIGNIFICANCE = 0.05
ERRORS_COUNTED_IN = 10_000  # images
SAME_TIME = 1.05  # a ratio of times below it is printed as 1.0
LEAST_PRICE = 0.1  # s per error avoided; less is noise


class Candidate(NamedTuple):
    """Predicted classes int64 (n,), and training time in s, None if it cannot be compared."""

    name: str
    predicted: NDArray[np.int64]
    train_s: float | None


class Pair(NamedTuple):
    """Two models compared on the same rows; `better` is the more accurate, on a tie the faster.

    `gain` in accuracy has the 95 % interval `lower`…`upper`. `p_value` is None if so few groups
    differ that no test can tell. `better_right` and `other_right` are
    the rows that only this model gets right; `disagreements` counts different answers, right or
    wrong. `time_ratio` is better / other. `seconds_per_error` is the additional training time per
    error avoided in 10,000 images, None if `within_noise`.
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


def compare_pair(
    a: Candidate,
    b: Candidate,
    reference: NDArray[np.int64],
    groups: NDArray[np.int64] | None = None,
) -> Pair:
    """Compare two models on the same rows; `reference` int64 (n,) is the truth, n at least 1.

    Where rows come in `groups`, the test is `sign_flips`, and the interval that of as many
    independent rows as tell as much of the difference; see `effective_rows`.
    """
    hits = {c.name: np.equal(c.predicted, reference) for c in (a, b)}
    better, other = sorted((a, b), key=lambda c: (-hits[c.name].sum(), c.train_s or inf, c.name))
    better_right = np.flatnonzero(hits[better.name] & ~hits[other.name]).tolist()
    other_right = np.flatnonzero(hits[other.name] & ~hits[better.name]).tolist()
    rows, gained = len(reference), len(better_right) - len(other_right)
    p_value: float | None
    if groups is None:
        lower, upper = paired_interval(len(better_right), len(other_right), rows)
        p_value = mcnemar_exact(len(better_right), len(other_right))
    else:
        # without groups this module needs no other one of ours
        from imageproof.judge.groups import correlation, effective_rows, sign_flips

        change = hits[better.name].astype(int) - hits[other.name]
        share = effective_rows(groups, correlation(change, groups)) / rows
        only = share * len(better_right), share * len(other_right)
        lower, upper = paired_interval(*only, share * rows)
        p_value, _ = sign_flips(change, groups)
    within_noise = lower <= 0 or p_value is None or p_value >= SIGNIFICANCE
    ratio = price = None
    if better.train_s and other.train_s:
        ratio = better.train_s / other.train_s
        if not within_noise:
            price = (better.train_s - other.train_s) / (gained / rows * ERRORS_COUNTED_IN)
    return Pair(
        better=better.name,
        other=other.name,
        rows=rows,
        gain=gained / rows,
        lower=lower,
        upper=upper,
        p_value=p_value,
        better_right=better_right,
        other_right=other_right,
        disagreements=int(np.count_nonzero(better.predicted != other.predicted)),
        time_ratio=ratio,
        seconds_per_error=price,
        within_noise=within_noise,
    )


def paired_interval(only_a: float, only_b: float, rows: float) -> tuple[float, float]:
    """95 % interval of accuracy(a) − accuracy(b); `only_a`: rows that only a gets right.

    Bonett and Price's adjusted Wald interval (2012, doi:10.3102/1076998611411915), which keeps its
    coverage where the models differ on few rows (Fagerland et al. 2014, doi:10.1002/sim.6148).
    """
    share_a, share_b = (only_a + 1) / (rows + 2), (only_b + 1) / (rows + 2)
    centre = share_a - share_b
    half = norm.ppf(0.975) * np.sqrt((share_a + share_b - centre**2) / (rows + 2))
    return max(-1.0, float(centre - half)), min(1.0, float(centre + half))


def mcnemar_exact(
    only_a: int, only_b: int, *, alternative: Literal["two-sided", "less"] = "two-sided"
) -> float:
    """P-value of McNemar's exact test (1947, doi:10.1007/BF02295996); `less`: that a is worse.

    `only_a` and `only_b` count the rows that only this model gets right.
    """
    rows = only_a + only_b
    return float(binomtest(only_a, rows, p=0.5, alternative=alternative).pvalue) if rows else 1.0


def pareto_front(points: Mapping[str, tuple[float, float]]) -> list[str]:
    """The models that no other dominates in (accuracy 0…1, training time in s), fastest first."""
    front: list[str] = []
    for name in sorted(points, key=lambda name: (points[name][1], -points[name][0], name)):
        best = points[front[-1]] if front else (-1.0, 0.0)
        if points[name][0] > best[0] or points[name] == best:
            front.append(name)
    return front


def choice(pairs: Sequence[Pair], seconds: Mapping[str, float | None]) -> str:
    """Which of two or more models to take, and why.

    `seconds` has the training time of each, None where it cannot be compared.
    """
    worse = {pair.other for pair in pairs if not pair.within_noise}
    best = [name for name in seconds if name not in worse]
    reason = "no model is more accurate beyond noise"
    times = {name: s for name, s in seconds.items() if s is not None}
    if len(times) < len(seconds):
        if len(best) == 1:
            return f"{best[0]} is the choice by accuracy alone: {reason}; times cannot be compared"
        names = f"{', '.join(best[:-1])} and {best[-1]}"
        return f"No choice: {names} differ by noise only, and training times cannot be compared"
    chosen, fastest = min(best, key=times.__getitem__), min(times, key=times.__getitem__)
    if times[chosen] / times[fastest] < SAME_TIME:
        return f"{chosen} is the choice: {reason}, and none trains faster"
    beaten_by = {p.better: p for p in pairs if p.other == fastest and not p.within_noise}
    rival = min(beaten_by, key=lambda name: (name in worse, times[name]))
    gain = _points(beaten_by[rival], beaten_by[rival].gain)
    faster = f"{fastest} trains {times[rival] / times[fastest]:,.1f} times faster"
    return f"No model is best in both: {rival} is more accurate (+{gain} points), {faster}"


def verdict(pair: Pair) -> str:
    """The comparison in one line of words, derived from the figures alone."""
    both, ratio = f"{pair.better} and {pair.other}", pair.time_ratio
    gain, low, high = (_points(pair, share) for share in (pair.gain, pair.lower, pair.upper))
    evidence = f"(95 % interval {low} to {high}, {p_text(pair)})"
    on_a_tie = time = price = ""
    if ratio and max(ratio, 1 / ratio) < SAME_TIME:
        on_a_tie, time = "; both train equally long", " for the same training time"
    elif ratio and ratio < 1:
        faster = f"trains {1 / ratio:,.1f} times faster"
        on_a_tie, time, price = f"; {pair.better} {faster}", f" and {faster}", ": better in both"
    elif ratio:
        time = f" for {ratio:,.1f} times the training time"
        price = f": {_price(pair)} s per error avoided in {ERRORS_COUNTED_IN:,}"
    if pair.disagreements == 0:
        return f"{both} give the same answer on all {pair.rows:,} images{on_a_tie}"
    if pair.gain == 0:
        return f"{both} are equally accurate {evidence}{on_a_tie}"
    line = f"{pair.better} gains {gain} points over {pair.other} {evidence}{time}"
    if pair.p_value is None:
        return f"no verdict, as too few groups differ: {line}"
    return f"no difference beyond noise: {line}" if pair.within_noise else line + price


def _price(pair: Pair) -> str:
    seconds = pair.seconds_per_error or 0.0  # two figures: a training time has no more
    return f"under {LEAST_PRICE}" if seconds < LEAST_PRICE else f"{float(f'{seconds:.2g}'):,.10g}"


def p_text(pair: Pair) -> str:
    if pair.p_value is None:
        return "too few groups"
    return "p < 0.001" if pair.p_value < 0.001 else f"p = {pair.p_value:.2g}"


def as_dict(pair: Pair) -> dict[str, Any]:
    return {**pair._asdict(), "verdict": verdict(pair)}


def _points(pair: Pair, share: float) -> str:
    """Percentage points with one decimal, or with two if one would print a figure as 0.0."""
    smallest = min(abs(value) for value in (pair.gain or 1, pair.lower, pair.upper))
    decimals = 1 if smallest >= 0.0005 else 2
    rounded = round(100 * share, decimals) + 0.0  # so that -0.0 becomes 0.0
    return f"{rounded:.{decimals}f}"
