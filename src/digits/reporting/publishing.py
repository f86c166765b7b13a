"""What of an evaluation goes to MLflow, read from the outputs of the stages."""

import math
from collections.abc import Mapping

import numpy as np
import pandas as pd

from digits.core.artifacts import EVALUATED, SPLITS, EvaluateOutputs, TrainOutputs, read_split
from digits.evaluation.caret import Statistics, statistics
from digits.evaluation.caret_tables import as_tables
from digits.evaluation.confusion_csv import read_matrix
from digits.evaluation.mistakes import most_confident
from digits.reporting import plots
from digits.tracking import restore, runs

MISTAKES = 24


def publish(model: str, *, names: list[str]) -> None:
    """Add the written evaluation to the model's run, which is logged again where unknown."""
    trained = TrainOutputs(model)
    run_id, model_id = restore.known(trained) or restore.restore(trained)
    runs.log_evaluation(run_id, model_id, evaluation(model, names=names))


def evaluation(model: str, *, names: list[str]) -> runs.Evaluation:
    """Everything the `evaluate` stage wrote about one model, as MLflow shows it."""
    outputs = EvaluateOutputs(model)
    matrices = {split: read_matrix(outputs.matrix(split)).matrix for split in EVALUATED}
    found = {split: statistics(matrix, classes=names) for split, matrix in matrices.items()}
    drawn = {
        split: plots.to_array(
            plots.confusion_matrix(matrix, names=names, title=f"{model}, {split}")
        )
        for split, matrix in matrices.items()
    }
    curves = plots.learning_curves({model: TrainOutputs(model).read_history()}, title=model)
    return runs.Evaluation(
        metrics=_metrics(outputs, found),
        images={f"{split}_confusion_matrix": pixels for split, pixels in drawn.items()},
        pictures={
            # at the top, where the compare page lists what two runs have in common
            **{f"{split}_confusion_matrix.png": pixels for split, pixels in drawn.items()},
            "learning_curves.png": plots.to_array(curves),
            "test/mistakes.png": _mistakes(model, outputs, names),
        },
        tables={f"{split}/by_class.json": _by_class(stats) for split, stats in found.items()},
        files={split: outputs.matrix(split) for split in EVALUATED},
    )


def _metrics(outputs: EvaluateOutputs, found: Mapping[str, Statistics]) -> dict[str, float]:
    scores = {
        f"{split}_{name}": value
        for split, metrics in outputs.read_metrics().items()
        for name, value in metrics.items()
    }
    judged = {
        f"{split}_{figure}": value
        for split, stats in found.items()
        for figure, value in stats.overall.items()
        if not math.isnan(value)
    }
    behaviour = {f"behaviour_{name}": value for name, value in outputs.read_behaviour().items()}
    rows = {f"{split}_rows": len(read_split(split).rows) for split in SPLITS}
    return scores | judged | behaviour | rows


def _by_class(stats: Statistics) -> pd.DataFrame:
    table = as_tables(stats).by_class.T
    return table.rename_axis("class").reset_index()


def _mistakes(model: str, outputs: EvaluateOutputs, names: list[str]) -> np.ndarray:
    test = read_split("test").data
    surest = most_confident(test, outputs.read_predictions()["test"], limit=MISTAKES)
    figure = plots.mistakes(surest, names=names, title=f"{model}: most confident mistakes")
    return plots.to_array(figure)
