"""Every two models on the same test rows, what each costs, and a verdict in words."""

import shutil
from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import Any, NamedTuple

import pandas as pd

from imageproof.artifacts import WORKSPACE
from imageproof.base import _inference
from imageproof.base._dataset import Dataset, Labels, Metrics, Probabilities
from imageproof.base.files import replacing, write_json
from imageproof.dvc._stage_inputs import forget
from imageproof.judge import (
    _comparison,
    _doubts,
    _leaderboard,
    _verdicts,
)
from imageproof.judge._caret import Statistics, weakest
from imageproof.judge._figures import column
from imageproof.judge._groups import Intervals
from imageproof.judge._timing import measure_latency
from imageproof.judge.limits import PromoteParams, split_warnings
from imageproof.outputs import TRAIN_SAMPLE, by_split, epoch_table
from imageproof.report.plots._model import learning_curves, pareto
from imageproof.report.plots._theme import save


class Result(NamedTuple):
    """A model's outputs; what is of a single split is of the test rows."""

    row: _leaderboard.Row
    figures: Mapping[str, float]  # the scores by key, such as `test_accuracy`; latencies
    probabilities: Probabilities
    statistics: Statistics
    behaviour: Mapping[str, float]
    baseline: Mapping[str, Any]  # see `EvaluateOutputs.read_baseline`
    history: list[Metrics]

    @property
    def model(self) -> str:
        return self.row.model

    @property
    def predicted(self) -> Labels:
        """Predicted classes int64 (n,)."""
        predicted: Labels = self.probabilities.argmax(axis=1)
        return predicted


def read_result(model: str, test: Dataset, *, threads: int) -> Result:
    """Read the outputs of a model, and measure how fast it answers test images."""
    trained = WORKSPACE.trained(model)
    evaluated = WORKSPACE.evaluated(model)
    cost = trained.read_metrics()
    run = trained.read_run()
    statistics = evaluated.read_statistics()["test"]
    weakest_class, sensitivity = weakest(statistics.by_class)
    network = _inference.load(trained.model, threads=threads)
    facts = {
        "model": model,
        "test_accuracy_lower": statistics.overall["accuracy_lower"],
        "test_accuracy_upper": statistics.overall["accuracy_upper"],
        "weakest_class": weakest_class,
        "weakest_sensitivity": sensitivity,
        "parameters": int(cost["parameters"]),
        "size_bytes": trained.model.stat().st_size,
        "run_id": run.run_id,
        "cpu": run.tags.get("cpu", ""),
    }
    figures = by_split(evaluated.read_metrics())
    figures |= measure_latency(network.predict, test.images)
    return Result(
        figures=figures,
        row=_leaderboard.row({"shared_cores": 0.0} | figures | cost | facts),
        probabilities=evaluated.read_predictions()["test"],
        statistics=statistics,
        behaviour=evaluated.read_behaviour(),
        baseline=evaluated.read_baseline(),
        history=trained.read_history(),
    )


def drop_other_models(models: Sequence[str]) -> None:
    """Delete what is left of models that `models:` names no more.

    DVC records the folders of all models as one dependency; another clone has only those of today.
    """
    for outputs in (WORKSPACE.trained(models[0]), WORKSPACE.evaluated(models[0])):
        for folder in outputs.folder.parent.iterdir():
            if folder.is_dir() and folder.name not in models:
                shutil.rmtree(folder)
                forget(folder)


def compare(
    results: Sequence[Result],
    test: Dataset,
    promote: PromoteParams,
    *,
    figures: Mapping[str, dict[str, float]],
) -> None:
    """Write the comparison of the models, the figures for DVC, and the pictures.

    `figures` of the project's own, for each model by heading, stand in the table, in the report and
    in DVC's metrics beside the library's.
    """
    rows = _leaderboard.with_own([result.row for result in results], figures)
    times, uncomparable = _leaderboard.training_times(rows)
    candidates = [_comparison.Candidate(r.model, r.predicted, times[r.model]) for r in results]
    pairs = [
        _comparison.compare_pair(a, b, test.labels, test.groups)
        for a, b in combinations(candidates, 2)
    ]
    choice = [_verdicts.choice(pairs, times)] if pairs else []
    scores = _leaderboard.Scores(model="baseline", **by_split(WORKSPACE.baseline.read_metrics()))
    summary = WORKSPACE.read_split_summary()
    doubts = {r.model: _model_doubts(r, test, summary["rows"]["train"]) for r in results}
    content = {
        "models": [row.model_dump() for row in rows],
        "pairs": [_verdicts.as_dict(pair) for pair in pairs],
        "verdicts": [
            *choice,
            *(_verdicts.baseline_verdict(r.model, r.baseline) for r in results),
            *_doubts.beyond_chance(doubts),
            *map(_verdicts.verdict, pairs),
            *uncomparable,
            *split_warnings(summary, promote, [*results[0].statistics.by_class]),
        ],
        "baseline": scores.model_dump(),
    }
    write_json(WORKSPACE.comparison, content)
    write_json(WORKSPACE.compare / "metrics.json", _dvc_metrics(rows, scores))
    seconds = {row.model: row.elapsed_s for row in rows}
    accuracies = {result.model: result.statistics.overall for result in results}
    figure = pareto(seconds, accuracies, comparable=not uncomparable)
    save(figure, WORKSPACE.compare / "pareto.png")
    _write_curves(results)


def _dvc_metrics(
    rows: Sequence[_leaderboard.Row], scores: _leaderboard.Scores
) -> dict[str, dict[str, float]]:
    """What `dvc metrics diff` compares."""
    keys = [*column("dvc"), *_leaderboard.own_headings(rows)]
    return {
        figures["model"]: {key: figures[key] for key in keys if figures.get(key) is not None}
        for figures in [*_leaderboard.figures(rows), scores.model_dump()]
    }


def _model_doubts(
    result: Result,
    test: Dataset,
    train_rows: int,
) -> list[_doubts.Doubt]:
    """All that could be said against a model, each with its p-value; see `_doubts`."""
    probabilities = result.probabilities
    overall = result.statistics.overall
    by_class = result.statistics.by_class
    intervals = Intervals(result.predicted == test.labels, test.groups)
    rows = intervals.effective()
    class_rows = intervals.effective_by_class(test.labels, probabilities.shape[1])
    learning = []
    accuracy = result.row.train_accuracy
    if accuracy is not None:  # a stage of the user's own may not know it
        sample = min(train_rows, TRAIN_SAMPLE)
        learning = [
            _doubts.unlearnt(accuracy, sample),
            _doubts.memorized(accuracy, sample, overall["accuracy"], rows),
        ]
    return [
        *learning,
        _doubts.weak_class(by_class, class_rows),
        _doubts.misleading(probabilities, test.labels, rows / len(test)),
        *_doubts.fragile(result.behaviour),
    ]


def _write_curves(results: Sequence[Result]) -> None:
    """Draw the learning curves, and write them as CSV for DVC's plots."""
    histories = {result.model: result.history for result in results}
    save(learning_curves(histories), WORKSPACE.compare / "learning_curves.png")
    frames = {model: epoch_table(history) for model, history in histories.items()}
    with replacing(WORKSPACE.learning_curves) as temporary:
        pd.concat(frames, names=["model", "epoch"]).to_csv(temporary)
