"""Scoring by a flow: one source by the project's command, the tables of a folder each in a task."""

from dataclasses import replace
from typing import Any

import mlflow
from prefect import task
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State
from prefect.states import Completed

from imageproof.answer._score import ScoreResult, begin, lines, write_predictions
from imageproof.base._machine import processors
from imageproof.base.errors import ImageproofError, UsageError
from imageproof.mlflow import _store
from imageproof.prefect._stages import task_runner
from imageproof.prefect.commands import run_command
from imageproof.project import Project
from imageproof.registry._version import find_origin, load_version
from imageproof.system import _process
from imageproof.system._storage import is_folder


def score_source(
    project: Project,
    source: str,
    output: str,
    *,
    model: str,
    scheduler: str,
    **options: Any,
) -> State[None]:
    """Score pictures or tables; the flow's state, with what the command `score` would say.

    `options` are `missing` and `overwrite` of that command. A UsageError for a scheduler without an
    output folder.
    """
    if is_folder(output):
        model = model or f"models:/{project.name}@champion"
        result = _score_tables(project, source, output, model, scheduler, **options)
    elif scheduler:
        raise UsageError("scheduler: needs an output FOLDER/, for one file of each table")
    else:
        result = ScoreResult(**run_command("score", source, out=output, model=model, **options))
    return Completed(message="\n".join(lines(result)))


def _score_tables(
    project: Project,
    source: str,
    output: str,
    model: str,
    scheduler: str,
    **options: Any,
) -> ScoreResult:
    """Write predictions for each table.

    What a task could not write is a finding of one ImageproofError; the others are finished.
    """
    _store.connect(project.name)
    uri = find_origin(model).uri
    coverage = project.confidence.coverage
    tracking_uri = _store.tracking_uri()

    @task(name="score", task_run_name="score {source}", cache_policy=NO_CACHE)
    def score_table(source: str, output: str) -> int:
        _process.set_environment()  # a worker of Dask has no settings of MLflow
        mlflow.set_tracking_uri(tracking_uri)
        with _store.service_errors(), load_version(uri, threads=1) as version:
            return write_predictions(source, output, version, coverage)

    writable, result = begin(source, output, uri, coverage, **options)
    with task_runner(scheduler, processors()) as runner:
        futures = runner.map(score_table, {"source": [*writable], "output": [*writable.values()]})
        counts = [future.result(raise_on_failure=False) for future in futures]
    errors = [count for count in counts if isinstance(count, Exception)]
    if errors:
        raise ImageproofError(*map(str, errors))
    return replace(result, rows=sum(counts))
