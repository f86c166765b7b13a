"""`compare`: every two models on the same test rows, what each costs, and a verdict in words."""

import shutil
from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd

from digits.params import Params
from digits.params import load as load_params
from imageproof.artifacts import WORKSPACE, copies_found
from imageproof.base import inference
from imageproof.base.dataset import Dataset
from imageproof.base.files import replacing, write_json
from imageproof.dvc.stage_command import run_stage
from imageproof.dvc.stage_inputs import forget
from imageproof.judge import caret, comparison, confusion, doubts, few_rows, leaderboard, timing
from imageproof.judge.confidence import TEMPERATURE_1
from imageproof.judge.confusion_csv import read_matrix, write_cells
from imageproof.judge.figures import column
from imageproof.judge.groups import independent
from imageproof.judge.leaderboard import Row
from imageproof.report.plots.comparison import pareto
from imageproof.report.plots.model import learning_curves
from imageproof.report.plots.theme import save

ACCURACY = ("accuracy", "accuracy_lower", "accuracy_upper")


def main() -> None:
    params = load_params()
    models, test, threads = params.models, WORKSPACE.read_split("test").data, params.train.threads
    drop_others(models)
    networks = {m: inference.load(WORKSPACE.trained(m).model, threads=threads) for m in models}
    rows = [
        read_row(model, timing.measure_latency(network.predict, test.images))
        for model, network in networks.items()
    ]
    answers = {m: WORKSPACE.evaluated(m).read_predictions()["test"].argmax(axis=1) for m in models}
    seconds = {row.model: timing.comparable_s(row.elapsed_s, row.shared_cores) for row in rows}
    candidates = [comparison.Candidate(m, answers[m], seconds[m]) for m in models]
    pairs = [
        comparison.compare_pair(*both, test.labels, test.groups)
        for both in combinations(candidates, 2)
    ]
    found = {
        "models": [row.model_dump() for row in rows],
        "pairs": [comparison.as_dict(pair) for pair in pairs],
        "verdicts": said(params, rows, pairs, test),
    }
    write_json(WORKSPACE.comparison, found)
    metrics = {  # that `dvc metrics diff` compares
        figures["model"]: {k: figures[k] for k in column("dvc") if figures.get(k) is not None}
        for figures in leaderboard.figures(rows)
    }
    write_json(WORKSPACE.compare / "metrics.json", metrics)
    draw(rows, comparable=not uncomparable(rows))


def said(
    params: Params,
    rows: Sequence[Row],
    pairs: Sequence[comparison.Pair],
    test: Dataset,
) -> list[str]:
    """The comparison in words: which model to take, what to doubt of each, and every two."""
    seconds = {row.model: timing.comparable_s(row.elapsed_s, row.shared_cores) for row in rows}
    summary = WORKSPACE.read_split_summary()
    names = [*WORKSPACE.evaluated(rows[0].model).read_statistics()["test"]["by_class"]]
    train_rows = summary["rows"]["train"]
    held_against = {row.model: doubts_of(row, test, train_rows) for row in rows}
    return [
        *([comparison.choice(pairs, seconds)] if pairs else []),
        *doubts.beyond_chance(held_against),
        *map(comparison.verdict, pairs),
        *uncomparable(rows),
        *copies_found(summary),
        *few_rows.few_holdout_rows(summary, params.promote, names),
    ]


def doubts_of(row: Row, test: Dataset, train_rows: int) -> list[doubts.Doubt]:
    """What may be said against a model, by its outputs."""
    evaluated = WORKSPACE.evaluated(row.model)
    statistics = evaluated.read_statistics()["test"]
    probabilities = evaluated.read_predictions()["test"]
    share = independent(probabilities.argmax(axis=1) == test.labels, test.groups)
    last = WORKSPACE.trained(row.model).read_history()[-1]
    remark = f"; {TEMPERATURE_1}" * (row.temperature == 1)
    return [
        doubts.unlearnt(last["accuracy"], train_rows),
        doubts.guessing(statistics["overall"], share * len(test)),
        doubts.weak_class(statistics["by_class"], share * len(test)),
        doubts.misleading(probabilities, test.labels, share, remark),
        *doubts.fragile(evaluated.read_behaviour()),
    ]


def uncomparable(rows: Sequence[Row]) -> list[str]:
    """Why training times cannot be compared."""
    runs = {row.model: WORKSPACE.trained(row.model).read_run() for row in rows}
    processors = {model: run.tags.get("cpu", "") for model, run in runs.items()}
    return [*leaderboard.shared_times(rows), *leaderboard.other_processors(processors)]


def draw(rows: Sequence[Row], *, comparable: bool) -> None:
    """Draw accuracy against time and the learning curves; write what DVC plots."""
    evaluated = {row.model: WORKSPACE.evaluated(row.model) for row in rows}
    overall = {m: each.read_statistics()["test"]["overall"] for m, each in evaluated.items()}
    shares = {model: tuple(of[end] for end in ACCURACY) for model, of in overall.items()}
    times = {row.model: row.elapsed_s for row in rows}
    points = {row.model: (row.test_accuracy, row.elapsed_s) for row in rows}
    front = comparison.pareto_front(points) if comparable else []
    title = "Test accuracy against training time"
    save(pareto(times, shares, front=front, title=title), WORKSPACE.compare / "pareto.png")
    histories = {model: WORKSPACE.trained(model).read_history() for model in evaluated}
    costs = {model: WORKSPACE.trained(model).read_metrics() for model in evaluated}
    kept = {m: int(cost["kept_epoch"]) for m, cost in costs.items() if "kept_epoch" in cost}
    curves = learning_curves(histories, title=f"Learning curves: {', '.join(evaluated)}", kept=kept)
    save(curves, WORKSPACE.compare / "learning_curves.png")
    frames = {model: pd.DataFrame(history) for model, history in histories.items()}
    with replacing(WORKSPACE.learning_curves) as temporary:
        pd.concat(frames, names=["model", "epoch"]).to_csv(temporary)
    matrices = {model: read_matrix(each.matrices["test"]) for model, each in evaluated.items()}
    order = confusion.clustered(np.sum([matrix for matrix, _ in matrices.values()], axis=0))
    write_cells(WORKSPACE.confusion, matrices, order=order)


def drop_others(models: Sequence[str]) -> None:
    """Delete what is left of models that `models:` names no more.

    DVC records the folders of all models as one dependency; another clone has no such rest.
    """
    for one in (WORKSPACE.trained(models[0]), WORKSPACE.evaluated(models[0])):
        for folder in one.folder.parent.iterdir():
            if folder.is_dir() and folder.name not in models:
                shutil.rmtree(folder)
                forget(folder)


def read_row(model: str, latency: Mapping[str, float]) -> Row:
    trained, evaluated = WORKSPACE.trained(model), WORKSPACE.evaluated(model)
    of_splits, cost = evaluated.read_metrics(), trained.read_metrics()
    figures: dict[str, Any] = {"model": model, "shared_cores": 0.0}
    figures |= {f"{split}_{k}": v for split, of in of_splits.items() for k, v in of.items()}
    weakest, lowest = caret.weakest(evaluated.read_statistics()["test"]["by_class"])
    figures |= {"weakest_class": weakest, "weakest_sensitivity": lowest}
    figures |= {**latency, **cost, "parameters": int(cost["parameters"])}
    figures |= {"size_bytes": trained.model.stat().st_size, "run_id": trained.read_run().run_id}
    keys = (*Row.model_fields, *column("table"))
    return Row(**{key: figures[key] for key in keys if key in figures})


if __name__ == "__main__":
    run_stage(main)
