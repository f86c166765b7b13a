"""The `score` flow: predictions for pictures or tables, and the drift of their images."""

from typing import Any

from prefect import flow
from prefect.client.schemas.objects import State
from prefect.states import Completed

from flows.support import lifecycle
from flows.support.commands import run_digits
from flows.support.forms import VERSION, run_name
from flows.support.prefect_artifacts import show_markdown


@flow(name="score", version=VERSION, flow_run_name=run_name)
def score(
    source: str, output: str = "predictions.parquet", model: str = "", scheduler: str = ""
) -> State[None]:
    """Score images with a registered model.

    Args:
        source: A folder of pictures, a CSV, an npz or a Parquet file; a path or s3://….
        output: The Parquet file to write; or FOLDER/, to score all tables of `source` in parts.
        model: models:/NAME/VERSION or models:/NAME@ALIAS; default: the champion.
        scheduler: Address of a Dask scheduler, to score parts on its workers; default: here.
    """

    def work() -> State[None]:
        options = ["--model", model] if model else []
        options += ["--scheduler", scheduler] if scheduler else []
        scored = run_digits("score", source, "--out", output, *options)
        show_markdown(markdown(scored), "drift", f"Scored {source}")
        drifted = ", ".join(scored["drifted"]) or "nothing"
        return Completed(message=f"{scored['rows']:,} rows; drifted: {drifted}")

    return lifecycle.run_in_project(work)


def markdown(scored: dict[str, Any]) -> str:
    """Rows, predicted classes and the drift table."""
    return "\n".join(
        [
            f"{scored['rows']:,} rows of `{scored['input']}` by `{scored['model']}`",
            "",
            f"Predicted per class: {', '.join(map(str, scored['class_counts']))}",
            *(f"- {count:,} pictures {how}" for how, count in scored["pictures"].items()),
            "",
            *drift_table(scored["drift"]),
            "",
            *(f"- {warning}" for warning in scored["warnings"]),
        ]
    )


def drift_table(found: list[dict[str, Any]]) -> list[str]:
    """The lines of a Markdown table with a row per comparison."""
    lines = ["| drift of | effect | p | |", "| --- | ---: | ---: | --- |"]
    for drift in found:
        verdict = "**drifted**" if drift["drifted"] else "ok"
        row = (drift["name"], f"{drift['effect']:.4f}", f"{drift['p_value']:.3g}", verdict)
        lines.append(f"| {' | '.join(row)} |")
    return lines
