"""MLflow runs: open and end them, log to them with the same names for every model, find them."""

import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from traceback import clear_frames
from typing import TYPE_CHECKING, Any

import mlflow
from mlflow import MlflowClient
from mlflow.entities import Dataset, DatasetInput, InputTag, Metric, Run, RunData
from mlflow.exceptions import MlflowException
from mlflow.utils.mlflow_tags import MLFLOW_DATASET_CONTEXT

from digits.core.artifacts import split_path
from digits.params import tracking
from digits.tracking import store

if TYPE_CHECKING:
    from mlflow import ActiveRun

PARAMS_FILE = "params.yaml"
TRAINING = "training"  # tag of a run and of those restored from it: the id of the first
MOST = 1000  # metrics that MLflow takes in one request


@contextmanager
def active_run(name: str, *, params: Mapping[str, Any], **options: Any) -> "Iterator[ActiveRun]":
    """An active MLflow run that ends FINISHED, FAILED on an error, or KILLED on a signal.

    `options` are those of `start`. ServiceError if the tracking store does not answer.
    """
    with store.service_errors():
        active = start(name, **options)
        with ending(end):
            mlflow.log_params(dict(params))
            yield active


def start(
    name: str,
    *,
    tags: Mapping[str, str],
    what: str = "",
    experiment: str | None = None,
    system_metrics: bool = True,
) -> "ActiveRun":
    """Start a run and make it the active one. Under `mlflow run` it is a child of that run.

    A DVC experiment's is named with it. `what` is its description; `experiment` by default the
    project's, where system metrics are logged if params.yaml says so.
    """
    experiment_id = store.connect(experiment)
    parent = store.parent_run()
    if parent:
        experiment_id = parent.info.experiment_id
    measured = system_metrics and not experiment and tracking().system_metrics
    return mlflow.start_run(
        run_name=f"{name} ({tags['dvc_exp']})" if tags.get("dvc_exp") else name,
        experiment_id=experiment_id,
        parent_run_id=parent.info.run_id if parent else None,
        tags=dict(tags),
        description=what or None,
        log_system_metrics=measured or None,  # MLflow's own variable may ask for them too
    )


@contextmanager
def ending(end_as: Callable[[str], None]) -> Iterator[None]:
    """After the block, call `end_as` with how it ended: FINISHED, FAILED or KILLED."""
    status = "KILLED"
    try:
        yield
        status = "FINISHED"
    except Exception:
        status = "FAILED"
        raise
    except BaseException as signalled:
        # a query that was interrupted keeps SQLite locked until its frames are freed
        clear_frames(signalled.__traceback__)
        raise
    finally:
        end_as(status)


def end(status: str) -> None:
    """End the active run, if there is one.

    After an error or a signal this does not wait for a server, nor hide the error by another.
    """
    if status == "FINISHED":
        mlflow.end_run(status)
    else:
        with suppress(MlflowException), store.retrying(0, timeout_s=2):
            mlflow.end_run(status)


def find(condition: str, *experiment_ids: str, newest: int = 0) -> list[Run]:
    """The active runs of these experiments that satisfy a filter of MLflow's, the oldest first.

    With `newest` at most so many, the newest first. A run costs the server 3 ms and more.
    """
    order = ["attributes.start_time DESC" if newest else "attributes.start_time ASC"]
    limit = newest or 100_000
    return mlflow.search_runs(
        [*experiment_ids], condition, max_results=limit, order_by=order, output_format="list"
    )


def model_id(run: Run) -> str:
    """The id of the last model that a run logged; empty if it logged none."""
    models = run.outputs.model_outputs if run.outputs else []
    return str(models[-1].model_id) if models else ""


def evaluated_runs(limit: int) -> list[RunData]:
    """The data of the last runs that were trained here and evaluated, the newest first."""
    experiment_id = store.connect()
    evaluated = "attributes.status = 'FINISHED' and metrics.test_accuracy >= 0"
    with store.service_errors():
        found = find(evaluated, experiment_id, newest=limit)
    return [each.data for each in found if "restored_from" not in each.data.tags]


def metric(key: str, value: float, *, step: int = 0, **belongs_to: str | None) -> Metric:
    """A metric of now. `belongs_to` are MLflow's fields that name a model or a dataset."""
    return Metric(key, float(value), time.time_ns() // 1_000_000, step, **belongs_to)


def metrics_at(epoch: int, metrics: Mapping[str, float]) -> list[Metric]:
    """The metrics of one epoch, with the epoch as step."""
    return [metric(key, value, step=epoch) for key, value in metrics.items()]


def send(run_id: str, metrics: list[Metric]) -> None:
    """Log metrics to a run, and remove from the list each that has arrived.

    To send a metric twice is to log it once.
    """
    while metrics:
        MlflowClient().log_batch(run_id, metrics[:MOST])
        del metrics[:MOST]


def log_metrics(metrics: Mapping[str, float], epoch: int | None = None) -> None:
    """Log metrics to the active run, with the epoch as step if it is given."""
    mlflow.log_metrics(dict(metrics), step=epoch)


def log_datasets(run_id: str, digests: Mapping[str, str]) -> None:
    """Log splits as input datasets of a run; `digests` maps each to its md5."""
    inputs = []
    for split, digest in digests.items():
        source = json.dumps({"uri": str(split_path(split))})
        context = InputTag(MLFLOW_DATASET_CONTEXT, split)
        inputs.append(DatasetInput(Dataset(split, digest, "local", source), [context]))
    MlflowClient().log_inputs(run_id, inputs)


def log_text(text: str, name: str) -> None:
    """Log a text file as an artifact of the active run."""
    mlflow.log_text(text, name)


def log_files(files: Sequence[Path]) -> None:
    """Log local files as artifacts of the active run."""
    for file in files:
        mlflow.log_artifact(str(file))
