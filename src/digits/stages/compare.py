"""`compare`: every two models on the same test rows, what each costs, and a verdict in words."""

from collections.abc import Sequence
from itertools import combinations

from digits import params
from digits.core import process
from digits.core.artifacts import ROOT, EvaluateOutputs, TrainOutputs, read_split
from digits.core.dataset import Images, Labels
from digits.core.files import write_json, write_text
from digits.evaluation.caret import statistics
from digits.evaluation.comparison import (
    Candidate,
    Pair,
    Point,
    as_dict,
    compare_pair,
    pareto_front,
    verdict,
)
from digits.evaluation.confusion_csv import read_matrix
from digits.evaluation.latency import Latency, measure_latency
from digits.evaluation.leaderboard import Row, markdown, model_row, shared_line, time_ratios
from digits.evaluation.robustness import fragile_line
from digits.reporting import plots

FOLDER = ROOT / "compare"


def main() -> None:
    """Write artifacts/compare/."""
    checked = params.load()
    test = read_split("test").data
    latencies = measure_latencies(checked.models, test.images, threads=checked.train.threads)
    rows = [read_row(model, latencies[model]) for model in checked.models]
    pairs = compare_pairs(rows, test.labels)
    front = pareto_front({row.model: Point(row.test_accuracy, row.elapsed_s) for row in rows})
    shared = filter(None, map(shared_line, rows))
    verdicts = [*map(verdict, pairs), *shared, *fragile_lines(checked.models)]

    comparison = {
        "models": [row._asdict() for row in rows],
        "pairs": [as_dict(pair) for pair in pairs],
        "pareto_front": front,
        "verdicts": verdicts,
    }
    write_json(FOLDER / "comparison.json", comparison)
    write_text(
        FOLDER / "comparison.md",
        "\n".join([markdown(rows), *(f"- {line}" for line in verdicts), ""]),
    )
    write_json(FOLDER / "metrics.json", metrics(rows))
    draw_pareto(rows, front)


def measure_latencies(models: Sequence[str], images: Images, *, threads: int) -> dict[str, Latency]:
    """How fast each model answers on this machine, one after the other in this process."""
    with process.quiet_tensorflow(threads):
        from digits.training import inference

    networks = {model: inference.load(TrainOutputs(model).model) for model in models}
    return {
        model: measure_latency(inference.predictor(network), images)
        for model, network in networks.items()
    }


def read_row(model: str, latency: Latency) -> Row:
    """What the earlier stages wrote about one model."""
    trained, evaluated = TrainOutputs(model), EvaluateOutputs(model).read_metrics()
    return model_row(
        model,
        training=trained.read_metrics(),
        test=evaluated["test"],
        holdout=evaluated["holdout"],
        latency=latency,
        size_bytes=trained.model.stat().st_size,
        run_id=trained.read_run().run_id,
    )


def compare_pairs(rows: Sequence[Row], reference: Labels) -> list[Pair]:
    """Every two models, on the test rows."""
    candidates = [
        Candidate(
            row.model,
            EvaluateOutputs(row.model).read_predictions()["test"].argmax(axis=1),
            row.elapsed_s,
        )
        for row in rows
    ]
    return [compare_pair(a, b, reference) for a, b in combinations(candidates, 2)]


def fragile_lines(models: Sequence[str]) -> list[str]:
    """What disturbs which model."""
    lines = [fragile_line(model, EvaluateOutputs(model).read_behaviour()) for model in models]
    return [line for line in lines if line]


def metrics(rows: Sequence[Row]) -> dict[str, dict[str, float]]:
    """What `dvc metrics diff` sets side by side."""
    ratios = time_ratios(rows)
    return {
        row.model: {
            "test_accuracy": row.test_accuracy,
            "holdout_accuracy": row.holdout_accuracy,
            "elapsed_s": row.elapsed_s,
            "time_ratio": ratios[row.model],
        }
        for row in rows
    }


def draw_pareto(rows: Sequence[Row], front: Sequence[str]) -> None:
    """Accuracy against training time."""
    intervals = {row.model: accuracy_interval(row.model) for row in rows}
    figure = plots.pareto(
        {row.model: row.elapsed_s for row in rows},
        intervals,
        front=front,
        title="Test accuracy against training time",
    )
    plots.save(figure, FOLDER / "pareto.png")


def accuracy_interval(model: str) -> tuple[float, float, float]:
    """Test accuracy with the ends of its exact 95 % interval."""
    overall = statistics(read_matrix(EvaluateOutputs(model).matrix("test")).matrix).overall
    return overall["accuracy"], overall["accuracy_lower"], overall["accuracy_upper"]


if __name__ == "__main__":
    process.run_stage(main)
