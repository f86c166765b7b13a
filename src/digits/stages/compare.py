"""`compare`: the models side by side."""

from digits import params, process
from digits.files import read_json, write_json, write_text
from digits.outputs import ROOT, EvaluateOutputs, TrainOutputs
from digits.results import Row, markdown, row, time_ratios

FOLDER = ROOT / "compare"


def main() -> None:
    """Write artifacts/compare/."""
    rows = [read_row(model) for model in params.load().models]
    write_json(FOLDER / "comparison.json", {"models": [row._asdict() for row in rows]})
    write_text(FOLDER / "comparison.md", markdown(rows))
    ratios = time_ratios(rows)
    metrics = {
        row.model: {
            "test_accuracy": row.test_accuracy,
            "holdout_accuracy": row.holdout_accuracy,
            "elapsed_s": row.elapsed_s,
            "time_ratio": ratios[row.model],
        }
        for row in rows
    }
    write_json(FOLDER / "metrics.json", metrics)


def read_row(model: str) -> Row:
    """What the earlier stages wrote about one model."""
    trained, evaluated = TrainOutputs(model), EvaluateOutputs(model).read_metrics()
    return row(
        model,
        training=read_json(trained.metrics),
        test=evaluated["test"],
        holdout=evaluated["holdout"],
        run_id=trained.read_run().run_id,
    )


if __name__ == "__main__":
    process.die_with_parent()
    process.run(main)
