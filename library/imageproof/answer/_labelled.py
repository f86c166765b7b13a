"""How often a model was right on rows whose labels came later, beside the hold-out."""

import pandas as pd
from mlflow import MlflowClient
from scipy.optimize import brentq

from imageproof.judge._groups import clopper_pearson
from imageproof.judge.drift import Comparison, compare_accuracy
from imageproof.registry._version import Version


def distinct_rows(answers: pd.DataFrame, other_keys: "pd.Series[int]") -> pd.DataFrame:
    """The answers whose key no other row has, of this version or of others (`other_keys`).

    Servers that write into one folder may answer in the same microsecond.
    """
    is_repeated = answers.index.duplicated(keep=False) | answers.index.isin(other_keys)
    return answers[~is_repeated]


def accuracy(answers: pd.DataFrame, truth: "pd.Series[int]") -> dict[str, float]:
    """The field `accuracy` of a `MonitorResult`; empty if no label is of a row."""
    labels = truth.reindex(answers.index)
    hits = (labels == answers["predicted"])[labels.notna()]
    if hits.empty:
        return {}
    value = float(hits.mean())
    lower, upper = clopper_pearson(value, len(hits))
    return {
        "rows": len(hits),
        "value": value,
        "unmatched": len(truth) - len(hits),
        "lower": lower,
        "upper": upper,
    }


def holdout_figures(model: Version) -> dict[str, float]:
    metrics = MlflowClient().get_run(model.origin.run_id).data.metrics
    return {
        name: metrics[key]
        for name in ("accuracy", "accuracy_lower", "accuracy_upper", "rows", "unsure")
        if (key := f"holdout_{name}") in metrics
    }


def compare_with_holdout(
    labelled: dict[str, float] | None, holdout: dict[str, float]
) -> list[Comparison]:
    """Whether fewer labelled than hold-out rows are right.

    Empty without labels, or if the interval of the hold-out is unknown or of a single group.
    """
    if not labelled or not {"accuracy_lower", "rows"} <= holdout.keys():
        return []
    rows = _independent_rows(holdout)
    if rows < 1:  # of one group
        return []
    hits = labelled["value"] * labelled["rows"]
    return [compare_accuracy(hits, labelled["rows"], (holdout["accuracy"] * rows, rows))]


def _independent_rows(holdout: dict[str, float]) -> float:
    """How many independent rows would have the recorded interval: fewer, if they are in groups."""

    def excess(rows: float) -> float:
        lower, upper = clopper_pearson(holdout["accuracy"], rows)
        return (upper - lower) - (holdout["accuracy_upper"] - holdout["accuracy_lower"])

    return float(brentq(excess, 0, holdout["rows"] + 1))
