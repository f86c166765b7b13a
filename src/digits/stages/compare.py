"""`compare`: every two models on the same test rows, what each costs, and a verdict in words."""

from collections.abc import Mapping
from itertools import combinations
from typing import Any

from digits.core import process
from digits.core.artifacts import (
    COMPARE,
    COMPARISON,
    CONFUSION,
    EvaluateOutputs,
    TrainOutputs,
    copies_found,
    read_split,
    write_learning_curves,
)
from digits.core.files import write_json, write_text
from digits.evaluation.behaviour import fragile_line, measure_latency
from digits.evaluation.caret import balance
from digits.evaluation.comparison import (
    Candidate,
    as_dict,
    choice,
    compare_pair,
    pareto_front,
    verdict,
)
from digits.evaluation.confusion_csv import read_matrix, write_cells
from digits.evaluation.leaderboard import (
    Row,
    comparable_s,
    doubts,
    markdown,
    time_ratios,
    weak_classes,
)
from digits.params import load as load_params
from digits.reporting.plots.comparison import pareto
from digits.reporting.plots.model import learning_curves
from digits.reporting.plots.theme import save
from digits.training import inference

FIGURES = (
    *("test_accuracy", "balanced_accuracy", "weakest_sensitivity", "test_loss", "test_ece"),
    *("holdout_accuracy", "holdout_loss", "elapsed_s"),
)
ACCURACY = ("accuracy", "accuracy_lower", "accuracy_upper")


def main() -> None:
    params = load_params()
    models, test, threads = params.models, read_split("test").data, params.train.threads
    evaluated = {model: EvaluateOutputs(model) for model in models}
    networks = {m: inference.load(TrainOutputs(m).model, threads=threads) for m in models}
    rows = [
        read_row(model, measure_latency(network.predict, test.images))
        for model, network in networks.items()
    ]
    answers = {m: each.read_predictions()["test"].argmax(axis=1) for m, each in evaluated.items()}
    seconds = {row.model: comparable_s(row.elapsed_s, row.shared_cores) for row in rows}
    candidates = [Candidate(model, answers[model], seconds[model]) for model in models]
    pairs = [compare_pair(a, b, test.labels) for a, b in combinations(candidates, 2)]
    front = pareto_front({row.model: (row.test_accuracy, row.elapsed_s) for row in rows})
    fragile = [fragile_line(model, each.read_behaviour()) for model, each in evaluated.items()]
    verdicts = [choice(pairs, seconds)] if pairs else []
    verdicts += [*weak_classes(rows), *map(verdict, pairs), *doubts(rows)]
    verdicts += [*filter(None, fragile), *copies_found()]
    comparison = {
        "models": [row._asdict() for row in rows],
        "pairs": [as_dict(pair) for pair in pairs],
        "pareto_front": front,
        "verdicts": verdicts,
    }
    write_json(COMPARISON, comparison)
    bullets = [f"- {line}" for line in verdicts]
    write_text(COMPARE / "comparison.md", "\n".join([markdown(rows), *bullets, ""]))
    ratios = time_ratios(rows)
    metrics = {  # that `dvc metrics diff` compares
        row.model: {name: getattr(row, name) for name in FIGURES}
        | ({"time_ratio": ratios[row.model]} if row.model in ratios else {})
        for row in rows
    }
    write_json(COMPARE / "metrics.json", metrics)
    overall = {m: each.read_statistics()["test"]["overall"] for m, each in evaluated.items()}
    shares = {m: tuple(overall[m][end] for end in ACCURACY) for m in models}
    times = {row.model: row.elapsed_s for row in rows}
    title = "Test accuracy against training time"
    save(pareto(times, shares, front=front, title=title), COMPARE / "pareto.png")
    histories = {model: TrainOutputs(model).read_history() for model in models}
    curves = learning_curves(histories, title=f"Learning curves: {', '.join(models)}")
    save(curves, COMPARE / "learning_curves.png")
    write_learning_curves(histories)
    matrices = {model: read_matrix(each.matrix("test")) for model, each in evaluated.items()}
    write_cells(CONFUSION, matrices)


def read_row(model: str, latency: Mapping[str, float]) -> Row:
    trained, scores = TrainOutputs(model), EvaluateOutputs(model).read_metrics()
    cost, test, holdout = trained.read_metrics(), scores["test"], scores["holdout"]
    by_class = EvaluateOutputs(model).read_statistics()["test"]["by_class"]
    figures: dict[str, Any] = {
        **{f"test_{key}": test[key] for key in ("accuracy", "loss", "ece")},
        **balance(by_class)._asdict(),
        **{f"holdout_{key}": holdout[key] for key in ("accuracy", "loss")},
        **{key: cost[key] for key in ("user_s", "system_s", "elapsed_s", "epoch_s")},
        "shared_cores": cost.get("shared_cores", 0.0),
        "temperature": cost.get("temperature", 0.0),
        "parameters": int(cost["parameters"]),
        "size_bytes": trained.model.stat().st_size,
        **latency,
    }
    return Row(model=model, **figures, run_id=trained.read_run().run_id)


if __name__ == "__main__":
    process.run_stage(main)
