"""MLflow runs: open and end them, log to them with the same names for every model, find them."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from shutil import copyfile
from traceback import clear_frames
from typing import TYPE_CHECKING, Any

import mlflow
from mlflow import MlflowClient
from mlflow.entities import Run, RunData
from mlflow.exceptions import MlflowException

from digits.core.artifacts import TrainOutputs
from digits.core.colours import SERIES
from digits.core.dataset import Images
from digits.core.errors import ServiceError
from digits.core.files import write_text
from digits.core.process import has_ended, this_process
from digits.params import tracking
from digits.tracking import descriptions, logged_model, spool, store
from digits.tracking.record import ARTIFACTS, MODEL, OWN, Record

if TYPE_CHECKING:
    from mlflow import ActiveRun


PARAMS_FILE = "params.yaml"
PROCESS_TAG = "process"
COLOUR_TAG = "mlflow.runColor"  # without it MLflow takes one of 29 colours, many of them alike


@contextmanager
def active_run(
    name: str,
    *,
    what: str = "",
    experiment: str | None = None,
    params: Mapping[str, Any],
    tags: Mapping[str, str],
    resume: str | None = None,
    system_metrics: bool = True,
) -> "Iterator[ActiveRun]":
    """An active MLflow run that ends FINISHED, FAILED on an error, or KILLED on a signal.

    Under `mlflow run` it is a child of the project's run. If the experiment has the run `resume`,
    this is that run again, with the params that it has.

    Args:
        what: What it is, in a sentence, for its description; default: it gets none.
        experiment: Its name; default: the project's.
        system_metrics: Log them in the project's experiment, if params.yaml says so.

    Raises:
        ServiceError: the tracking store does not answer.
    """
    with store.service_errors():
        active = store.patiently(
            _Start(
                name,
                experiment=experiment,
                tags=tags,
                what=what,
                resume=resume,
                measured=system_metrics and not experiment and tracking().system_metrics,
            )
        )
        status = "KILLED"
        try:
            if active.info.run_id != resume:
                spool.log(Record(active.info.run_id, params=dict(params)))
            yield active
            status = "FINISHED"
        except Exception:
            status = "FAILED"
            raise
        except BaseException as signalled:
            # a query that was interrupted keeps SQLite locked until its frames are freed
            clear_frames(signalled.__traceback__)
            raise
        finally:
            _end(active.info.run_id, status)


@dataclass
class _Start:
    """Starts a run when it is called. A call that got no answer may be done again."""

    name: str
    experiment: str | None
    tags: Mapping[str, str]
    what: str
    resume: str | None
    measured: bool
    _again: bool = False

    def __call__(self) -> "ActiveRun":
        experiment_id = store.connect(self.experiment)
        spool.send_left()
        parent = store.parent_run()
        if parent:
            experiment_id = parent.info.experiment_id
        end_abandoned(experiment_id)
        resumed = None
        if self.resume and find(f"attributes.run_id = '{self.resume}'", experiment_id):
            resumed = self.resume
        elif self._again:
            begun = f"attributes.status = 'RUNNING' and attributes.run_name = '{self.name}'"
            own = f"{begun} and tags.{PROCESS_TAG} = '{this_process()}'"
            resumed = next((run.info.run_id for run in find(own, experiment_id)), None)
        self._again = True
        first = {} if resumed else {COLOUR_TAG: _free_colour(experiment_id)}
        if self.what and not resumed:
            commit = self.tags.get("git_commit", "")
            first[descriptions.NOTE] = descriptions.of_run(self.what, commit)
        return mlflow.start_run(
            run_id=resumed,
            run_name=self.name,
            experiment_id=experiment_id,
            parent_run_id=parent.info.run_id if parent else None,
            tags={**self.tags, PROCESS_TAG: this_process()} | first,
            # MLflow's own variable may ask for them too
            log_system_metrics=self.measured or None,
        )


def _end(run_id: str, status: str) -> None:
    """End the active run, now or when the store is back."""
    try:
        has_all = spool.flush(run_id)
    except ServiceError:
        mlflow.end_run("FAILED")
        raise
    try:
        mlflow.end_run(status)
    except MlflowException as error:
        if not store.is_away(error):
            raise
        has_all = False
    if not has_all:
        spool.log_end(run_id, status)


def find(condition: str, *experiment_ids: str) -> list[Run]:
    """The active runs of these experiments that satisfy a filter of MLflow's, the oldest first.

    A run costs the server 3 ms and more: filter by what few runs have, or ask for the `newest`.
    """
    oldest_first = ["attributes.start_time ASC"]
    return mlflow.search_runs(
        [*experiment_ids], condition, order_by=oldest_first, output_format="list"
    )


def newest(condition: str, experiment_id: str, limit: int) -> list[Run]:
    """At most `limit` active runs of an experiment that satisfy a filter, the newest first."""
    return mlflow.search_runs(
        [experiment_id],
        condition,
        max_results=limit,
        order_by=["attributes.start_time DESC"],
        output_format="list",
    )


def _free_colour(experiment_id: str) -> str:
    """A colour that none of the experiment's last runs has: each model's curves have their own."""
    last = newest("", experiment_id, len(SERIES) - 1)
    taken = {run.data.tags.get(COLOUR_TAG) for run in last}
    return next(colour for colour in SERIES if colour not in taken)


def end_abandoned(experiment_id: str) -> None:
    """End as KILLED the runs of this machine's processes that ended without doing so."""
    here = f"tags.{PROCESS_TAG} LIKE '{this_process().partition(':')[0]}:%'"
    for each in find(f"attributes.status = 'RUNNING' and {here}", experiment_id):
        if has_ended(each.data.tags[PROCESS_TAG]):
            MlflowClient().set_terminated(each.info.run_id, "KILLED")


def evaluated_runs(limit: int) -> list[RunData]:
    """The data of the experiment's last finished and evaluated runs, the newest first.

    Restored runs are left out: they were trained elsewhere, and their times are not this machine's.
    """
    experiment_id = store.connect()
    spool.send_left()
    evaluated = "attributes.status = 'FINISHED' and metrics.test_accuracy >= 0"
    with store.service_errors():
        found = newest(evaluated, experiment_id, limit)
    return [each.data for each in found if "restored_from" not in each.data.tags]


def log_epoch(epoch: int, metrics: Mapping[str, float]) -> None:
    """Log the metrics of one epoch to the active run, with the epoch as step."""
    spool.log(Record(_active_id()).with_metrics(metrics, step=epoch))


def log_params_file(text: str) -> None:
    """Log the text of params.yaml as an artifact of the active run."""
    log_text(text, PARAMS_FILE)


def log_text(text: str, name: str) -> None:
    """Log a text file as an artifact of the active run."""
    with spool.logging(Record(_active_id())) as folder:
        write_text(folder / ARTIFACTS / name, text)


def params_file(run_id: str) -> str:
    """The params.yaml that a run logged; empty if it logged none."""
    logged = MlflowClient().list_artifacts(run_id)
    if PARAMS_FILE not in (artifact.path for artifact in logged):
        return ""
    return str(mlflow.artifacts.load_text(f"runs:/{run_id}/{PARAMS_FILE}"))


def log_datasets(run_id: str, digests: Mapping[str, str]) -> None:
    """Log splits as input datasets of a run; `digests` maps each to its md5."""
    spool.log(Record(run_id, datasets=dict(digests)))


def log_parameters(count: int) -> dict[str, int]:
    """Log the number of weights as a param of the active run; returns the logged param."""
    parameters = {"parameters": count}
    spool.log(Record(_active_id(), params=parameters))
    return parameters


def log_model(outputs: TrainOutputs, *, example: Images, metrics: Mapping[str, float]) -> str:
    """Log the ONNX model of a training, and the cost of the training; see `logged_model.log`.

    Args:
        example: One image, uint8 (1, height, width), which the model shows as its input.

    Returns:
        The model's id; empty if the store is away, which gives the model its id.

    Raises:
        DataError: the ONNX file is missing or no classifier of images.
    """
    run_id = _active_id()
    with spool.logging(Record(run_id, model_id=OWN).with_metrics(metrics)) as folder:
        logged_model.copy_files(outputs, example, folder / MODEL)
    return logged_model.of_run(run_id) if spool.flush(run_id) else ""


def log_metrics(metrics: Mapping[str, float]) -> None:
    """Log metrics to the active run, without a step."""
    spool.log(Record(_active_id()).with_metrics(metrics))


def log_files(files: Sequence[Path]) -> None:
    """Log local files as artifacts of the active run."""
    with spool.logging(Record(_active_id())) as folder:
        (folder / ARTIFACTS).mkdir()
        for file in files:
            copyfile(file, folder / ARTIFACTS / file.name)


def _active_id() -> str:
    active = mlflow.active_run()
    assert active, "logs to the run of `active_run`"
    return str(active.info.run_id)
