"""`report`: everything the other stages found, as one page that needs no network."""

from collections.abc import Sequence
from dataclasses import fields
from typing import Any

import numpy as np

from digits import params
from digits.core import process, provenance
from digits.core.artifacts import EVALUATED, ROOT, EvaluateOutputs, TrainOutputs, read_split
from digits.core.dataset import Dataset
from digits.core.files import read_json, write_text
from digits.evaluation import leaderboard as results
from digits.evaluation.caret import statistics
from digits.evaluation.comparison import Pair
from digits.evaluation.confusion_csv import read_matrix
from digits.evaluation.leaderboard import Comparison
from digits.evaluation.mistakes import most_confident
from digits.params import flatten
from digits.reporting.page.render import ModelResult, ReportContent, SplitResult, render

COMPARE = ROOT / "compare"
COMPARISON_FILES = ("comparison.json", "comparison.md", "pareto.png")
PAGE = ROOT / "report" / "index.html"
VALIDATED = ("success", "critical", "warnings", "summary", "findings", "expectations")
MISTAKES = 18
PICTURES = {
    "class_distribution": "Images of each class, with their share",
    "samples": "Samples of each class",
    "mean": "Pixel-wise mean of each class",
    "median": "Pixel-wise median of each class",
    "standard_deviation": "Pixel-wise standard deviation of each class",
}


def main() -> None:
    """Write artifacts/report/index.html."""
    checked = params.load()
    names, test = checked.data.names, read_split("test").data
    comparison = read_json(COMPARE / "comparison.json", Comparison)
    content = ReportContent(
        class_names=names,
        verdicts=comparison.verdicts,
        table=results.cells(comparison.models),
        pairs=[read_pair(pair) for pair in comparison.pairs],
        models=[read_model(model, test, names=names) for model in checked.models],
        validation=read_json(ROOT / "validate" / "result.json", dict[str, Any], keys=VALIDATED),
        pictures={
            caption: (ROOT / "explore" / f"{name}.png").read_bytes()
            for name, caption in PICTURES.items()
        },
    )
    write_text(PAGE, render(content))
    log(checked.models)


def log(models: Sequence[str]) -> None:
    """Log the comparison and its page as a run of their own, beside the models' experiment."""
    from digits.tracking import runs, store

    figures = read_json(COMPARE / "metrics.json", dict[str, Any])
    with runs.run(
        "comparison",
        experiment=store.COMPARISONS,
        params={"models": ", ".join(models)},
        tags=provenance.tags(stage="report"),
    ):
        runs.log_metrics(flatten(figures))
        runs.log_files([PAGE, *(COMPARE / name for name in COMPARISON_FILES)])


def read_pair(written: dict[str, Any]) -> Pair:
    """What `comparison.as_dict` made of a pair, as the pair."""
    figures = {field.name: written[field.name] for field in fields(Pair)}
    rows = {
        name: np.array(figures[name], dtype=np.int64) for name in ("better_right", "other_right")
    }
    return Pair(**figures | rows)


def read_model(model: str, test: Dataset, *, names: list[str]) -> ModelResult:
    """What the earlier stages wrote about one model."""
    trained, evaluated = TrainOutputs(model), EvaluateOutputs(model)
    return ModelResult(
        name=model,
        run=trained.read_run(),
        history=trained.read_history(),
        splits=[read_split_result(evaluated, split, names=names) for split in EVALUATED],
        train_s=trained.read_metrics()["elapsed_s"],
        mistakes=most_confident(test, evaluated.read_predictions()["test"], limit=MISTAKES),
        behaviour=evaluated.read_behaviour(),
    )


def read_split_result(evaluated: EvaluateOutputs, split: str, *, names: list[str]) -> SplitResult:
    """One model on one split."""
    matrix = read_matrix(evaluated.matrix(split)).matrix
    scores = evaluated.read_metrics()[split]
    return SplitResult(split, statistics(matrix, classes=names), scores, matrix)


if __name__ == "__main__":
    process.run_stage(main)
