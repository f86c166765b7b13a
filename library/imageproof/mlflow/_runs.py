"""MLflow runs: open and end them, log to them with the same names for every model, find them."""

import json
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from traceback import clear_frames
from typing import Any, NamedTuple

import mlflow
from mlflow import ActiveRun, MlflowClient
from mlflow.entities import Dataset, DatasetInput, InputTag, Metric, Run
from mlflow.exceptions import MlflowException
from mlflow.utils.mlflow_tags import MLFLOW_DATASET_CONTEXT, MLFLOW_GIT_COMMIT

from imageproof.artifacts import WORKSPACE
from imageproof.base._naming import project_name
from imageproof.mlflow import _store
from imageproof.system._process import exit_by_signal, project_root

PARAMS_FILE = "params.yaml"
# where it has one; its pages read the colour, `#RRGGBB`, which is documented nowhere
MLFLOWS_OWN = {"git_commit": MLFLOW_GIT_COMMIT, "colour": "mlflow.runColor"}
TRAINING = "training"  # tag of a run and of those restored from it: the id of the first


def tag(name: str) -> str:
    """What a tag of ours is called in MLflow."""
    return MLFLOWS_OWN.get(name, f"{project_name()}.{name}")


def own_tags(tags: Mapping[str, str]) -> dict[str, str]:
    """Those tags of a run or a version that are ours, by our names."""
    prefix = f"{project_name()}."
    names = {key: name for name, key in MLFLOWS_OWN.items()}
    names |= {key: key.removeprefix(prefix) for key in tags if key.startswith(prefix)}
    return {name: tags[key] for key, name in names.items() if key in tags}


@contextmanager
def active_run(name: str, *, params: Mapping[str, Any], **options: Any) -> Iterator[ActiveRun]:
    """An active run, with the options of `start`; ServiceError if the store does not answer."""
    with _store.service_errors():
        active = start(name, **options)
        with ending(end):
            mlflow.log_params(dict(params))
            yield active


def start(
    name: str,
    *,
    experiment: str,
    tags: Mapping[str, str],
    view: bool = False,
    resume: str = "",
    **options: Any,
) -> ActiveRun:
    """Start a run and make it the active one. Under `mlflow run` it is a child of that run.

    `tags` are ours, by our names; `options` are those of `mlflow.start_run`. The run with the id
    `resume` goes on, if it is in the same experiment.
    """
    experiment_id = _store.connect(experiment, view=view)
    parent = _store.parent_run()
    if parent:
        experiment_id = parent.info.experiment_id
        options["parent_run_id"] = parent.info.run_id
    if resume and find(f"attributes.run_id = '{resume}'", experiment_id):
        options["run_id"] = resume
    if dvc_experiment := tags.get("dvc_exp"):
        name = f"{name} ({dvc_experiment})"
    named = {tag(key): value for key, value in tags.items()}
    return mlflow.start_run(run_name=name, experiment_id=experiment_id, tags=named, **options)


@contextmanager
def ending(end_as: Callable[[str], None]) -> Iterator[None]:
    """After the block, call `end_as` with FINISHED, FAILED (an error) or KILLED (a signal)."""
    status = "KILLED"
    try:
        yield
        status = "FINISHED"
    except Exception as error:
        # a training that nobody reads any more notices it before it gets the signal
        if not (isinstance(error, BrokenPipeError) or exit_by_signal(error)):
            status = "FAILED"
        raise
    except BaseException as signalled:
        # a query that was interrupted keeps SQLite locked until its frames are freed
        clear_frames(signalled.__traceback__)
        raise
    finally:
        end_as(status)


def end(status: str) -> None:
    """End the active run; a server that is away gets no second try if it is not FINISHED."""
    if status == "FINISHED":
        mlflow.end_run(status)
    else:  # wait for no server, and hide no error by another
        with suppress(MlflowException), _store.retrying(0, timeout_s=2):
            mlflow.end_run(status)


def find(condition: str, *experiment_ids: str, limit: int = 1) -> list[Run]:
    """The newest active runs of these experiments that satisfy a filter of MLflow's."""
    return mlflow.search_runs([*experiment_ids], condition, max_results=limit, output_format="list")


def model_id(run: Run) -> str:
    """The id of the last model that a run logged; empty if it logged none."""
    models = run.outputs.model_outputs if run.outputs else []
    return str(models[-1].model_id) if models else ""


class Logged(NamedTuple):
    """What MLflow has of a run; `tags` are ours, by our names."""

    params: Mapping[str, str]
    metrics: Mapping[str, float]
    tags: Mapping[str, str]


def evaluated_runs(experiment: str, limit: int) -> list[Logged]:
    """The last runs that were evaluated, the newest first."""
    experiment_id = _store.connect(experiment)
    evaluated = "attributes.status = 'FINISHED' and metrics.test_accuracy >= 0"
    with _store.service_errors():
        data = [run.data for run in find(evaluated, experiment_id, limit=limit)]
    return [Logged(run.params, run.metrics, own_tags(run.tags)) for run in data]


def metric(key: str, value: float, *, step: int = 0, **belongs_to: str | None) -> Metric:
    """A metric of now. `belongs_to` are MLflow's fields that name a model or a dataset."""
    return Metric(key, float(value), time.time_ns() // 1_000_000, step, **belongs_to)


def metrics_at(epoch: int, metrics: Mapping[str, float]) -> list[Metric]:
    """The metrics of an epoch, with the epoch as step."""
    return [metric(key, value, step=epoch) for key, value in metrics.items()]


def send(run_id: str, metrics: list[Metric]) -> None:
    """Log metrics to a run, and empty the list when they have arrived."""
    MlflowClient().log_batch(run_id, metrics)
    metrics.clear()


def log_datasets(run_id: str, digests: Mapping[str, str]) -> None:
    """Log splits as input datasets of a run; `digests` maps each to its md5."""
    inputs = []
    for split, digest in digests.items():
        source = json.dumps({"uri": str(project_root() / WORKSPACE.split(split))})
        dataset = Dataset(split, digest, "local", source)
        inputs.append(DatasetInput(dataset, [InputTag(MLFLOW_DATASET_CONTEXT, split)]))
    try:
        MlflowClient().log_inputs(run_id, inputs)
    except MlflowException as error:
        if "unique" not in str(error).lower():
            raise
        # another stage has just logged the same data to the experiment: now MLflow finds it there
        MlflowClient().log_inputs(run_id, inputs)
