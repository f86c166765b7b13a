"""`compare`: every two models on the same test rows, what each costs, and a verdict in words."""

import shutil
from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from digits.params import Params
from digits.params import load as load_params
from imageproof.artifacts import WORKSPACE, copies_found
from imageproof.base import inference
from imageproof.base.dataset import Dataset, Matrix, Probabilities
from imageproof.base.files import replacing, write_json
from imageproof.dvc.stage_command import run_stage
from imageproof.dvc.stage_inputs import forget
from imageproof.judge import (
    baseline,
    caret,
    comparison,
    confusion,
    doubts,
    few_rows,
    leaderboard,
    timing,
)
from imageproof.judge.confidence import TEMPERATURE_1
from imageproof.judge.figures import column
from imageproof.judge.groups import independent
from imageproof.outputs import TRAIN_SAMPLE
from imageproof.report.plots.comparison import pareto
from imageproof.report.plots.model import learning_curves
from imageproof.report.plots.theme import save

ACCURACY = ("accuracy", "accuracy_lower", "accuracy_upper")


class Result(NamedTuple):
    """What is known of a model: each output of the other stages, read once."""

    row: leaderboard.Row
    train_s: float | None  # None if it cannot be compared
    probabilities: Probabilities  # of the test rows
    statistics: Mapping[str, Any]  # on the test rows, see `caret.Statistics`
    behaviour: Mapping[str, float]
    baseline: Mapping[str, Any]  # see `EvaluateOutputs.read_baseline`
    history: list[dict[str, float]]
    kept_epoch: int | None
    matrix: tuple[Matrix, list[str]]  # on the test rows, and the names of the classes
    processor: str


def main() -> None:
    params = load_params()
    test = WORKSPACE.read_split("test").data
    drop_others(params.models)
    results = [read_result(model, test, params.train.threads) for model in params.models]
    rows = [result.row for result in results]
    processors = {result.row.model: result.processor for result in results}
    uncomparable = leaderboard.uncomparable(rows, processors)
    pairs = compare_pairs(results, test)
    scores = read_baseline()
    content = {
        "models": [row.model_dump() for row in rows],
        "pairs": [comparison.as_dict(pair) for pair in pairs],
        "verdicts": verdict_lines(params, results, pairs, test, uncomparable),
        "baseline": scores.model_dump(),
    }
    write_json(WORKSPACE.comparison, content)
    metrics = {  # that `dvc metrics diff` compares
        figures["model"]: {k: figures[k] for k in column("dvc") if figures.get(k) is not None}
        for figures in [*leaderboard.figures(rows), scores.model_dump()]
    }
    write_json(WORKSPACE.compare / "metrics.json", metrics)
    draw_pareto(results, comparable=not uncomparable)
    write_curves(results)
    matrices = {result.row.model: result.matrix for result in results}
    order = confusion.clustered(np.sum([matrix for matrix, _ in matrices.values()], axis=0))
    confusion.write_cells(WORKSPACE.confusion, matrices, order=order)


def drop_others(models: Sequence[str]) -> None:
    """Delete what is left of models that `models:` names no more.

    DVC records the folders of all models as one dependency; another clone has no such rest.
    """
    for outputs in (WORKSPACE.trained(models[0]), WORKSPACE.evaluated(models[0])):
        for folder in outputs.folder.parent.iterdir():
            if folder.is_dir() and folder.name not in models:
                shutil.rmtree(folder)
                forget(folder)


def read_result(model: str, test: Dataset, threads: int) -> Result:
    """Read the outputs of a model's training and evaluation, and measure how fast it answers."""
    trained = WORKSPACE.trained(model)
    evaluated = WORKSPACE.evaluated(model)
    cost = trained.read_metrics()
    run = trained.read_run()
    statistics = evaluated.read_statistics()["test"]
    weakest_class, sensitivity = caret.weakest(statistics["by_class"])
    network = inference.load(trained.model, threads=threads)
    figures = by_split(evaluated.read_metrics())
    figures |= timing.measure_latency(network.predict, test.images)
    overall = statistics["overall"]
    facts = {
        "model": model,
        "test_accuracy_lower": overall["accuracy_lower"],
        "test_accuracy_upper": overall["accuracy_upper"],
        "weakest_class": weakest_class,
        "weakest_sensitivity": sensitivity,
        "parameters": int(cost["parameters"]),
        "size_bytes": trained.model.stat().st_size,
        "run_id": run.run_id,
    }
    row = leaderboard.row({"shared_cores": 0.0} | figures | cost | facts)
    return Result(
        row=row,
        train_s=timing.comparable_s(row.elapsed_s, row.shared_cores),
        probabilities=evaluated.read_predictions()["test"],
        statistics=statistics,
        behaviour=evaluated.read_behaviour(),
        baseline=evaluated.read_baseline(),
        history=trained.read_history(),
        kept_epoch=int(cost["kept_epoch"]) if "kept_epoch" in cost else None,
        matrix=confusion.read_matrix(evaluated.matrices["test"]),
        processor=run.tags.get("cpu", ""),
    )


def read_baseline() -> leaderboard.Scores:
    figures = by_split(WORKSPACE.baseline.read_metrics())
    return leaderboard.Scores(**{"model": "baseline"} | figures)


def by_split(metrics: Mapping[str, Mapping[str, float]]) -> dict[str, Any]:
    return {
        f"{split}_{name}": value
        for split, scores in metrics.items()
        for name, value in scores.items()
    }


def compare_pairs(results: Sequence[Result], test: Dataset) -> list[comparison.Pair]:
    candidates = [
        comparison.Candidate(result.row.model, result.probabilities.argmax(axis=1), result.train_s)
        for result in results
    ]
    return [
        comparison.compare_pair(a, b, test.labels, test.groups)
        for a, b in combinations(candidates, 2)
    ]


def verdict_lines(
    params: Params,
    results: Sequence[Result],
    pairs: Sequence[comparison.Pair],
    test: Dataset,
    uncomparable: Sequence[str],
) -> list[str]:
    """The comparison in words: which model to take, what to doubt of each, and every two."""
    seconds = {result.row.model: result.train_s for result in results}
    summary = WORKSPACE.read_split_summary()
    train_rows = summary["rows"]["train"]
    names = [*results[0].statistics["by_class"]]
    by_model = {result.row.model: doubts_of(result, test, train_rows) for result in results}
    return [
        *([comparison.choice(pairs, seconds)] if pairs else []),
        *[baseline.verdict(r.row.model, r.baseline["name"], r.baseline["test"]) for r in results],
        *doubts.beyond_chance(by_model),
        *map(comparison.verdict, pairs),
        *uncomparable,
        *copies_found(summary),
        *few_rows.few_holdout_rows(summary, params.promote, names),
    ]


def doubts_of(result: Result, test: Dataset, train_rows: int) -> list[doubts.Doubt]:
    """What may be said against a model, by its outputs."""
    probabilities = result.probabilities
    share = independent(probabilities.argmax(axis=1) == test.labels, test.groups)
    rows = share * len(test)
    remark = f"; {TEMPERATURE_1}" * (result.row.temperature == 1)
    learning = []
    trained = result.row.train_accuracy
    if trained is not None:  # a stage of the user's own may not know it
        sample = min(train_rows, TRAIN_SAMPLE)
        accuracy = result.statistics["overall"]["accuracy"]
        learning.append(doubts.unlearnt(trained, sample))
        learning.append(doubts.memorized(trained, sample, accuracy, rows))
    return [
        *learning,
        doubts.guessing(result.statistics["overall"], rows),
        doubts.weak_class(result.statistics["by_class"], rows),
        doubts.misleading(probabilities, test.labels, share, remark),
        *doubts.fragile(result.behaviour),
    ]


def draw_pareto(results: Sequence[Result], *, comparable: bool) -> None:
    shares = {}
    points = {}
    for result in results:
        overall = result.statistics["overall"]
        shares[result.row.model] = tuple(overall[figure] for figure in ACCURACY)
        points[result.row.model] = (result.row.test_accuracy, result.row.elapsed_s)
    times = {model: seconds for model, (_, seconds) in points.items()}
    front = comparison.pareto_front(points) if comparable else []
    title = "Test accuracy against training time"
    save(pareto(times, shares, front=front, title=title), WORKSPACE.compare / "pareto.png")


def write_curves(results: Sequence[Result]) -> None:
    """Draw the learning curves, and write them as CSV for DVC's plots."""
    histories = {result.row.model: result.history for result in results}
    kept = {r.row.model: r.kept_epoch for r in results if r.kept_epoch is not None}
    title = f"Learning curves: {', '.join(histories)}"
    figure = learning_curves(histories, title=title, kept=kept)
    save(figure, WORKSPACE.compare / "learning_curves.png")
    frames = {model: pd.DataFrame(history) for model, history in histories.items()}
    with replacing(WORKSPACE.learning_curves) as temporary:
        pd.concat(frames, names=["model", "epoch"]).to_csv(temporary)


if __name__ == "__main__":
    run_stage(main)
