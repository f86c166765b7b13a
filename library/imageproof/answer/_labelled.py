"""How often a model was right on rows whose labels came later, beside the hold-out."""

import pandas as pd
from mlflow import MlflowClient

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
    names = "rows", "independent_rows", "accuracy", "accuracy_lower", "accuracy_upper", "unsure"
    return {name: metrics[key] for name in names if (key := f"holdout_{name}") in metrics}


def compare_with_holdout(
    labelled: dict[str, float] | None, holdout: dict[str, float]
) -> list[Comparison]:
    """Whether fewer labelled than hold-out rows are right.

    Empty without labels, or if the hold-out's independent rows are unknown or of a single group.
    """
    rows = holdout.get("independent_rows", 0)
    if not labelled or rows < 1:
        return []
    hits = labelled["value"] * labelled["rows"]
    return [compare_accuracy(hits, labelled["rows"], (holdout["accuracy"] * rows, rows))]
