"""Comparisons of models in words, derived from their figures alone."""

from collections.abc import Mapping, Sequence
from typing import Any

from imageproof.judge._comparison import ERRORS_COUNTED_IN, SIGNIFICANCE, Pair, is_noise

SAME_TIME = 1.05  # a ratio of times below it is printed as 1.0
SMALL_P = 0.001


def choice(pairs: Sequence[Pair], seconds: Mapping[str, float | None]) -> str:
    """Which of two or more models to take, and why.

    `seconds` has the training time of each, None where it cannot be compared.
    """
    worse = {pair.other for pair in pairs if not pair.within_noise}
    best = [name for name in seconds if name not in worse]
    reason = "no model is more accurate beyond noise"
    unproven = [p for p in pairs if p.p_value is None and p.gain and {p.better, p.other} <= {*best}]
    if unproven:
        better, other = unproven[0].better, unproven[0].other
        return f"No choice: too few groups differ to tell whether {better} is better than {other}"
    times = {name: time for name, time in seconds.items() if time is not None}
    if len(times) < len(seconds):
        if len(best) == 1:
            return f"{best[0]} is the choice by accuracy alone: {reason}; times cannot be compared"
        names = f"{', '.join(best[:-1])} and {best[-1]}"
        return f"No choice: {names} differ by noise only, and training times cannot be compared"
    fastest = min(times, key=times.__getitem__)
    choice = min(best, key=times.__getitem__)
    if times[choice] / times[fastest] < SAME_TIME:
        return f"{choice} is the choice: {reason}, and none trains faster"
    pair = min(
        (pair for pair in pairs if pair.other == fastest and not pair.within_noise),
        key=lambda pair: (pair.better in worse, times[pair.better]),
    )
    gain = f"{pair.better} is more accurate (+{_points(pair.gain)} points)"
    faster = _faster(times[pair.better] / times[fastest])
    return f"No model is best in both: {gain}, {fastest} {faster}"


def verdict(pair: Pair) -> str:
    """The comparison in one line of words, derived from the figures alone."""
    names = f"{pair.better} and {pair.other}"
    gain, lower, upper = (_points(share) for share in (pair.gain, pair.lower, pair.upper))
    evidence = f"(95 % interval {lower} to {upper}, {p_text(pair.p_value)})"
    on_a_tie, time, price = _time_words(pair)
    if pair.disagreements == 0:
        return f"{names} give the same answer on all {pair.rows:,} images{on_a_tie}"
    if pair.gain == 0:
        return f"{names} are equally accurate {evidence}{on_a_tie}"
    line = f"{pair.better} gains {gain} points over {pair.other} {evidence}{time}"
    if pair.p_value is None:
        return f"no verdict, as too few groups differ: {line}"
    return f"no difference beyond noise: {line}" if pair.within_noise else line + price


def baseline_verdict(model: str, baseline: Mapping[str, Any]) -> str:
    """Whether a model is better than the baseline, on the test rows.

    `baseline` has its `name`, and as `test` what `compare_with_baseline` returned.
    """
    figures = baseline["test"]
    accuracy = figures["accuracy"]
    gain = figures["gain"]
    p_value = figures["p_value"]
    relation = "better" if gain > 0 else "worse"
    if is_noise(figures["gain_lower"], figures["gain_upper"], p_value):
        relation = "not shown to be better"
    shares = f"{100 * (accuracy + gain):.2f} % against {100 * accuracy:.2f} %"
    reason = "; too few groups differ" if p_value is None else ""
    return f"{model} is {relation} than the baseline ({baseline['name']}): {shares}{reason}"


def _time_words(pair: Pair) -> tuple[str, str, str]:
    """Three ends of a verdict: for equal models; for any gain; for a gain beyond noise as well."""
    ratio = pair.time_ratio
    if not ratio:
        return "", "", ""
    if max(ratio, 1 / ratio) < SAME_TIME:
        return "; both train equally long", " for the same training time", ""
    if ratio < 1:
        faster = _faster(1 / ratio)
        return f"; {pair.better} {faster}", f" and {faster}", ": better in both"
    seconds = float(f"{pair.seconds_per_error or 0:.2g}")  # a training time has no more figures
    price = f": {seconds:,.10g} s per error avoided in {ERRORS_COUNTED_IN:,}"
    return "", f" for {ratio:,.1f} times the training time", price


def _faster(ratio: float) -> str:
    return f"trains {ratio:,.1f} times faster"


def p_text(p_value: float | None, level: float = SIGNIFICANCE) -> str:
    """A p-value with two figures, or with as many as keep it on its side of the level."""
    if p_value is None:
        return "too few groups"
    if p_value < SMALL_P <= level:
        return f"p < {SMALL_P:g}"
    return f"p = {beside(p_value, level, 2, '.{}g')}"


def beside(value: float, limit: float, places: int = 4, form: str = ".{}f") -> str:
    """A value with so many decimals, or with as many as keep it on its side of the limit."""
    texts = (format(value, form.format(count)) for count in range(places, 30))
    sides = value < limit, value > limit
    return next(t for t in texts if (float(t) < limit, float(t) > limit) == sides)


def change_beside(change: float, limit: float) -> str:
    """A change of a share; a loss of at most `limit` is allowed, but for rounding."""
    return beside(round(change, 9), -limit, form="+z.{}f")


def as_dict(pair: Pair) -> dict[str, Any]:
    return {**pair._asdict(), "verdict": verdict(pair)}


def _points(share: float) -> str:
    """Percentage points."""
    return f"{100 * share:z.2f}"
