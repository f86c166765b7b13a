"""The `score` flow: predictions for pictures or tables, and the drift of their images."""

from prefect import flow, task
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State
from prefect.futures import wait

from digits.project import load_project
from imageproof.answer.score import Job, plan, write_on_worker
from imageproof.answer.storage import is_folder
from imageproof.base.errors import UsageError
from imageproof.mlflow import store
from imageproof.prefect.commands import run_command
from imageproof.prefect.lifecycle import VERSION, in_project, show_drift
from imageproof.prefect.stages import task_runner
from imageproof.registry.trace import find_origin


@flow(name="score", version=VERSION)
@in_project
def score(
    source: str, output: str = "predictions.parquet", model: str = "", scheduler: str = ""
) -> State[None]:
    """Score images with a registered model.

    Args:
        source: A folder of pictures, a CSV, an npz or a Parquet file; a path or s3://….
        output: The Parquet file to write; or FOLDER/, for one of each table of `source`.
        model: models:/NAME/VERSION or models:/NAME@ALIAS; default: the champion.
        scheduler: Address of a Dask scheduler, to score each table on a worker; default: here.
    """
    if scheduler:
        if not is_folder(output):
            raise UsageError("scheduler: needs an output FOLDER/, for one file of each table")
        loaded = load_project()
        store.connect(loaded.name)
        origin = find_origin(model or f"models:/{loaded.name}@champion")
        address, uri = store.tracking_uri(), origin.uri

        @task(name="score", task_run_name="score {source}", cache_policy=NO_CACHE)
        def score_table(source: str, output: str, stamp: str) -> int:
            return write_on_worker(Job(source, output, stamp), address, uri, loaded)

        jobs = plan(source, output, origin, loaded)
        with task_runner(scheduler) as runner:
            wait([runner.submit(score_table, job._asdict()) for job in jobs])
    scored = run_command("score", source, out=output, model=model)  # what is missing yet
    return show_drift(load_project().name, scored, "drift", source)
