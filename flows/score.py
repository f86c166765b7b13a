"""The `score` flow: predictions for pictures or tables, and the drift of their images."""

from functools import partial
from typing import Any

from prefect import flow, task
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State
from prefect.futures import wait

from digits.project import load_project
from imageproof.answer.score import plan, to_write, write_on_worker
from imageproof.base.errors import UsageError
from imageproof.base.machine import processors
from imageproof.mlflow import store
from imageproof.prefect.commands import run_command
from imageproof.prefect.lifecycle import VERSION, in_project, show_drift
from imageproof.prefect.stages import task_runner
from imageproof.registry.version import find_origin
from imageproof.system.storage import is_folder


@flow(name="score", version=VERSION)
@in_project
def score(
    source: str,
    output: str = "predictions.parquet",
    model: str = "",
    scheduler: str = "",
    missing: bool = False,
    overwrite: bool = False,
) -> State[None]:
    """Score images with a registered model.

    Args:
        source: A folder of pictures, a CSV, an npz or a Parquet file; a path or s3://….
        output: The Parquet file to write; or FOLDER/, for one of each table of `source`.
        model: models:/NAME/VERSION or models:/NAME@ALIAS; default: the champion.
        scheduler: Address of a Dask scheduler, to score each table on a worker; default: here.
        missing: Keep the predictions that are there, and write the others.
        overwrite: Replace the predictions that are there; no other file is replaced.
    """
    project = load_project()
    options: dict[str, Any] = {"missing": missing, "overwrite": overwrite}
    if is_folder(output):
        store.connect(project.name)
        model = find_origin(model or f"models:/{project.name}@champion").uri
        write = partial(
            write_on_worker, tracking_uri=store.tracking_uri(), uri=model, project=project
        )

        @task(name="score", task_run_name="score {source}", cache_policy=NO_CACHE)
        def score_table(source: str, output: str) -> int:
            return write(source, output)

        outputs = to_write(plan(source, output), **options)
        with task_runner(scheduler, processors()) as runner:
            wait(runner.map(score_table, {"source": [*outputs], "output": [*outputs.values()]}))
        options = {"missing": True}  # what a task could not write is named below
    elif scheduler:
        raise UsageError("scheduler: needs an output FOLDER/, for one file of each table")
    scored = run_command("score", source, out=output, model=model, **options)
    return show_drift(project.name, scored, "drift", source)
