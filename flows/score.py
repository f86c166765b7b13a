"""The `score` flow: predictions for pictures or tables, and the drift of their images."""

from prefect import flow
from prefect.client.schemas.objects import State
from prefect.states import Completed

from flows.support import lifecycle
from flows.support.commands import run_digits
from flows.support.forms import VERSION
from flows.support.prefect_artifacts import show_table


@flow(name="score", version=VERSION)
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
        what = f"{scored['rows']:,} rows of {source} by {scored['model']}"
        show_table(scored["drift"], "drift", "\n\n".join([what, *scored["warnings"]]))
        drifted = ", ".join(scored["drifted"]) or "nothing"
        return Completed(message=f"{scored['rows']:,} rows; drifted: {drifted}")

    return lifecycle.run_in_project(work)
