"""A model against the baseline, a classical classifier, on the same rows."""

from collections.abc import Mapping
from typing import Any

from imageproof.base._dataset import Hits, Rows
from imageproof.judge._comparison import is_noise, paired_test
from imageproof.judge._groups import accuracy


def compare(
    hits: Hits,
    baseline_hits: Hits,
    groups: Rows | None,
) -> dict[str, float | None]:
    """The baseline's `accuracy`, and the model's `gain` over it, each with its 95 % interval.

    The hits bool (n,) are those of the same rows. `p_value` is that of the paired test, None if too
    few groups differ; see `_comparison.compare_pair`.
    """
    gain_lower, gain_upper, p_value = paired_test(hits.astype(int) - baseline_hits, groups)
    return {
        **accuracy(baseline_hits, groups),
        "gain": float(hits.mean() - baseline_hits.mean()),
        "gain_lower": gain_lower,
        "gain_upper": gain_upper,
        "p_value": p_value,
    }


def verdict(model: str, name: str, figures: Mapping[str, Any]) -> str:
    """Whether a model is better than the baseline of this name, by what `compare` returned."""
    accuracy = figures["accuracy"]
    gain = figures["gain"]
    p_value = figures["p_value"]
    relation = "better" if gain > 0 else "worse"
    if is_noise(figures["gain_lower"], figures["gain_upper"], p_value):
        relation = "not shown to be better"
    shares = f"{100 * (accuracy + gain):.2f} % against {100 * accuracy:.2f} %"
    reason = "; too few groups differ" if p_value is None else ""
    return f"{model} is {relation} than the baseline ({name}): {shares}{reason}"
