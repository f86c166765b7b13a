"""How often a model was right on rows whose labels came later, beside the hold-out."""

import pandas as pd
from mlflow import MlflowClient
from scipy.stats import binomtest

from imageproof.answer._predict import numbered_names
from imageproof.base._class_names import class_numbers
from imageproof.judge.drift import Comparison, compare_accuracy
from imageproof.project import Project
from imageproof.registry._version import Version


def distinct_rows(answers: pd.DataFrame, other_keys: pd.Index) -> pd.DataFrame:
    """The rows whose key no other row has, of this version or of others.

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
    interval = binomtest(int(hits.sum()), len(hits)).proportion_ci()  # of Clopper and Pearson
    return {
        "rows": len(hits),
        "value": float(hits.mean()),
        "unmatched": len(truth) - len(hits),
        "lower": float(interval.low),
        "upper": float(interval.high),
    }


def holdout_figures(model: Version) -> dict[str, float]:
    metrics = MlflowClient().get_run(model.origin.run_id).data.metrics
    keys = {name: f"holdout_{name}" for name in ("accuracy", "rows", "unsure")}
    return {name: metrics[key] for name, key in keys.items() if key in metrics}


def compare_with_holdout(
    labelled: dict[str, float] | None,
    holdout: dict[str, float],
) -> list[Comparison]:
    if not labelled or not {"accuracy", "rows"} <= holdout.keys():
        return []
    hits = round(labelled["value"] * labelled["rows"])
    holdout_hits = round(holdout["accuracy"] * holdout["rows"])
    counts = (holdout_hits, round(holdout["rows"]))
    return [compare_accuracy(hits, round(labelled["rows"]), counts)]


def other_names(model: Version, project: Project) -> str:
    """What is wrong if labels may be numbers of this project's classes, not of the model's."""
    names = numbered_names(model, project)
    own_names = project.data.class_names or []
    if own_names in (names, class_numbers(len(own_names))):
        return ""
    return f"read as numbers of the model's classes {', '.join(names)}; the project has others"
