"""Scoring by a flow: one source by the project's command, the tables of a folder each in a task."""

from functools import partial
from typing import Any

from prefect import task
from prefect.cache_policies import NO_CACHE

from imageproof.answer._score import plan, to_write
from imageproof.answer._worker import write_on_worker
from imageproof.base._machine import processors
from imageproof.base.errors import ImageproofError, UsageError
from imageproof.mlflow import _store
from imageproof.prefect._stages import task_runner
from imageproof.prefect.commands import run_command
from imageproof.project import Project
from imageproof.registry._version import find_origin
from imageproof.system._storage import is_folder


def score_source(
    project: Project,
    source: str,
    output: str,
    *,
    model: str,
    scheduler: str,
    **options: Any,
) -> Any:
    """Score pictures or tables; what the command `score` says of the predictions, drift too.

    `options` are `missing` and `overwrite` of that command. A UsageError for a scheduler without an
    output folder.
    """
    if is_folder(output):
        model = _score_tables(project, plan(source, output), model, scheduler, options)
        options = {"missing": True}  # all are there now: this sums them up
    elif scheduler:
        raise UsageError("scheduler: needs an output FOLDER/, for one file of each table")
    return run_command("score", source, out=output, model=model, **options)


def _score_tables(
    project: Project,
    planned: dict[str, str],
    model: str,
    scheduler: str,
    options: dict[str, Any],
) -> str:
    """Write predictions for each table; returns the URI of the version that answered.

    What a task could not write is a finding of one ImageproofError; the others are finished.
    """
    _store.connect(project.name)
    uri = find_origin(model or f"models:/{project.name}@champion").uri
    write = partial(write_on_worker, tracking_uri=_store.tracking_uri(), uri=uri, project=project)

    @task(name="score", task_run_name="score {source}", cache_policy=NO_CACHE)
    def score_table(source: str, output: str) -> int:
        return write(source, output)

    outputs = to_write(planned, **options)
    with task_runner(scheduler, processors()) as runner:
        futures = runner.map(score_table, {"source": [*outputs], "output": [*outputs.values()]})
        results = [future.result(raise_on_failure=False) for future in futures]
    errors = [result for result in results if isinstance(result, Exception)]
    if errors:
        raise ImageproofError(*map(str, errors))
    return uri
