"""`compare`: every two models on the same test rows, what each costs, and a verdict in words."""

from collections.abc import Mapping, Sequence
from itertools import combinations

from digits.core import process
from digits.core.artifacts import (
    COMPARE,
    COMPARISON,
    CONFUSION,
    EvaluateOutputs,
    TrainOutputs,
    read_split,
    write_learning_curves,
)
from digits.core.dataset import Images, Labels
from digits.core.files import write_json, write_text
from digits.evaluation.behaviour import fragile_line, measure_latency
from digits.evaluation.comparison import (
    Candidate,
    Pair,
    as_dict,
    compare_pair,
    pareto_front,
    verdict,
)
from digits.evaluation.confusion_csv import read_matrix, write_cells
from digits.evaluation.leaderboard import (
    Row,
    markdown,
    miscalibrated_line,
    shared_line,
    time_ratios,
)
from digits.params import load as load_params
from digits.reporting.plots.comparison import pareto
from digits.reporting.plots.model import learning_curves
from digits.reporting.plots.theme import save
from digits.training import inference

FIGURES = [
    "test_accuracy",
    "test_loss",
    "test_ece",
    "holdout_accuracy",
    "holdout_loss",
    "elapsed_s",
]


def main() -> None:
    """Write artifacts/compare/."""
    params = load_params()
    models, test = params.models, read_split("test").data
    latencies = measure_latencies(models, test.images, threads=params.train.threads)
    rows = [read_row(model, latencies[model]) for model in models]
    pairs = compare_pairs(rows, test.labels)
    front = pareto_front({row.model: (row.test_accuracy, row.elapsed_s) for row in rows})
    doubts = [line(row) for line in (shared_line, miscalibrated_line) for row in rows]
    verdicts = [*map(verdict, pairs), *filter(None, doubts), *fragile_lines(models)]

    comparison = {
        "models": [row._asdict() for row in rows],
        "pairs": [as_dict(pair) for pair in pairs],
        "pareto_front": front,
        "verdicts": verdicts,
    }
    write_json(COMPARISON, comparison)
    bullets = [f"- {line}" for line in verdicts]
    write_text(COMPARE / "comparison.md", "\n".join([markdown(rows), *bullets, ""]))
    write_json(COMPARE / "metrics.json", metrics(rows))
    draw_pareto(rows, front)
    histories = {model: TrainOutputs(model).read_history() for model in models}
    curves = learning_curves(histories, title=f"Learning curves: {', '.join(models)}")
    save(curves, COMPARE / "learning_curves.png")
    write_learning_curves(histories)
    matrices = {model: read_matrix(EvaluateOutputs(model).matrix("test")) for model in models}
    write_cells(CONFUSION, matrices)


def measure_latencies(
    models: Sequence[str], images: Images, *, threads: int
) -> dict[str, dict[str, float]]:
    """Measure each model's latency on this machine, one after the other in this process."""
    networks = {m: inference.load(TrainOutputs(m).model, threads=threads) for m in models}
    return {model: measure_latency(each.predict, images) for model, each in networks.items()}


def read_row(model: str, latency: Mapping[str, float]) -> Row:
    """One model's row, from the outputs of `train` and `evaluate`."""
    trained, scores = TrainOutputs(model), EvaluateOutputs(model).read_metrics()
    cost, test, holdout = trained.read_metrics(), scores["test"], scores["holdout"]
    return Row(
        model=model,
        test_accuracy=test["accuracy"],
        test_loss=test["loss"],
        test_ece=test["ece"],
        holdout_accuracy=holdout["accuracy"],
        holdout_loss=holdout["loss"],
        user_s=cost["user_s"],
        system_s=cost["system_s"],
        elapsed_s=cost["elapsed_s"],
        epoch_s=cost["epoch_s"],
        shared_cores=cost.get("shared_cores", 0.0),
        parameters=int(cost["parameters"]),
        size_bytes=trained.model.stat().st_size,
        **latency,
        run_id=trained.read_run().run_id,
    )


def compare_pairs(rows: Sequence[Row], reference: Labels) -> list[Pair]:
    """Compare every two models on the test rows."""
    answers = {r.model: EvaluateOutputs(r.model).read_predictions()["test"] for r in rows}
    candidates = [Candidate(r.model, answers[r.model].argmax(axis=1), r.elapsed_s) for r in rows]
    return [compare_pair(a, b, reference) for a, b in combinations(candidates, 2)]


def fragile_lines(models: Sequence[str]) -> list[str]:
    """One line for each model that a disturbance of the images costs much accuracy."""
    lines = [fragile_line(model, EvaluateOutputs(model).read_behaviour()) for model in models]
    return [line for line in lines if line]


def metrics(rows: Sequence[Row]) -> dict[str, dict[str, float]]:
    """The figures that `dvc metrics diff` compares: one file in git, for whichever models."""
    ratios = time_ratios(rows)
    return {
        row.model: {name: getattr(row, name) for name in FIGURES}
        | {"time_ratio": ratios[row.model]}
        for row in rows
    }


def draw_pareto(rows: Sequence[Row], front: Sequence[str]) -> None:
    """Draw accuracy, with its exact 95 % interval, against training time."""
    overall = {r.model: EvaluateOutputs(r.model).read_statistics()["test"]["overall"] for r in rows}
    figure = pareto(
        {row.model: row.elapsed_s for row in rows},
        {
            model: (found["accuracy"], found["accuracy_lower"], found["accuracy_upper"])
            for model, found in overall.items()
        },
        front=front,
        title="Test accuracy against training time",
    )
    save(figure, COMPARE / "pareto.png")


if __name__ == "__main__":
    process.run_stage(main)
