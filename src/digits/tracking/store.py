"""Where MLflow keeps the runs: its address, its first creation, and what killed processes left."""

import os
import shutil
import socket
import sqlite3
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from tempfile import TemporaryDirectory, gettempdir

import mlflow
import psutil
from mlflow import MlflowClient
from mlflow.entities import Run, ViewType
from mlflow.exceptions import MlflowException
from requests import RequestException

from digits.core.addresses import public
from digits.core.context import project_root, take_parent_run
from digits.core.errors import ServiceError
from digits.tracking import database

EXPERIMENT = "digits"
COMPARISONS = "digits-comparisons"

PROCESS_TAG = "process"
_SQLITE = database.SQLITE
_AWAY = (ConnectionError, TimeoutError, socket.gaierror)
_SECONDS_APART = 60
_SCRATCH = "digits-"


def tracking_uri() -> str:
    """MLFLOW_TRACKING_URI, or the SQLite file mlflow.db in the project's folder.

    A relative SQLite path is taken from the project's folder, because a DVC experiment
    may run in a copy of it.
    """
    uri = os.environ.get("MLFLOW_TRACKING_URI") or f"{_SQLITE}mlflow.db"
    if uri.startswith(_SQLITE):
        return f"{_SQLITE}{project_root() / uri.removeprefix(_SQLITE)}"
    return uri


def portable_uri() -> str:
    """The address as it may be recorded: a path within the project is relative; see `public`."""
    uri, here = tracking_uri(), f"{_SQLITE}{project_root()}/"
    return public(_SQLITE + uri.removeprefix(here) if uri.startswith(here) else uri)


def connect(experiment: str = EXPERIMENT) -> str:
    """Point MLflow at the store, create what is missing, and return the experiment's id.

    Raises:
        ServiceError: the store does not answer, or cannot be used.
    """
    global _parent
    _parent = take_parent_run() or _parent
    uri = tracking_uri()
    with service_errors(uri), _ready(uri):
        mlflow.set_tracking_uri(uri)
        return _experiment_id(experiment, uri)


_parent: str | None = None


def parent_run() -> Run | None:
    """The project run of an enclosing `mlflow run`, or None."""
    return MlflowClient().get_run(_parent) if _parent else None


@contextmanager
def service_errors(uri: str | None = None) -> Iterator[None]:
    """Turn MLflow's errors into one line with the store's address; other errors pass."""
    try:
        yield
    except (MlflowException, RequestException, sqlite3.Error) as error:
        asked = uri or mlflow.get_tracking_uri()
        raise _no_use(asked, _reason(error, asked)) from error


def check(uri: str) -> None:
    """Ask a database that is a server, for which MLflow itself would wait for minutes.

    Raises:
        ServiceError: it does not answer.
    """
    if uri.startswith(database.SERVERS) and (reason := database.no_answer(uri)):
        raise _no_use(uri, reason)


def _no_use(uri: str, reason: str) -> ServiceError:
    return ServiceError(
        f"MLflow at {public(uri)}: {reason} (MLFLOW_TRACKING_URI says which store is asked)"
    )


def _reason(error: BaseException, uri: str) -> str:
    """Why there is no answer, which lies at the bottom of a long chain; else what MLflow says."""
    cause = _cause(error)
    if isinstance(cause, _AWAY):
        return f"no answer, {cause.strerror or cause}; is the server up?"
    return database.reason(error, uri)


def is_away(error: BaseException) -> bool:
    """Whether a server did not answer, as far as an error of MLflow's tells."""
    return isinstance(_cause(error), _AWAY)


def _cause(error: BaseException) -> BaseException:
    while deeper := error.__cause__ or error.__context__:
        error = deeper
    return error


def this_process() -> str:
    """Host, process id and start time: enough to know later whether this process still runs."""
    return f"{socket.gethostname()}:{os.getpid()}:{psutil.Process().create_time():.0f}"


def close_abandoned(experiment_id: str) -> None:
    """End as KILLED the runs of processes of this machine that are gone (SIGKILL, power cut)."""
    client = MlflowClient()
    running = client.search_runs(
        [experiment_id], "attributes.status = 'RUNNING'", run_view_type=ViewType.ACTIVE_ONLY
    )
    for run in running:
        if is_gone(run.data.tags.get(PROCESS_TAG, "")):
            client.set_terminated(run.info.run_id, "KILLED")


def is_gone(process: str) -> bool:
    """Whether a process of this machine, named as `this_process` does, runs no more."""
    host, _, identity = process.partition(":")
    if host != socket.gethostname():
        return False
    pid, _, started = identity.partition(":")
    try:
        # the start is told against a clock that is set right now and then
        return abs(psutil.Process(int(pid)).create_time() - float(started)) > _SECONDS_APART
    except psutil.NoSuchProcess:
        return True
    except ValueError:
        return False  # someone else's tag of the same name


@contextmanager
def scratch() -> Iterator[Path]:
    """A temporary folder for the time of the block.

    Removes those of processes of this machine that were killed.
    """
    for folder in Path(gettempdir()).glob(f"{_SCRATCH}*"):
        owner = folder.name.removeprefix(_SCRATCH).rpartition("-")[0]
        if is_gone(owner.replace("+", ":")):
            shutil.rmtree(folder, ignore_errors=True)
    # no colons, at which Python splits PYTHONPATH: code in the folder could not be imported
    owner = this_process().replace(":", "+")
    with TemporaryDirectory(prefix=f"{_SCRATCH}{owner}-") as folder_name:
        yield Path(folder_name)


def _ready(uri: str) -> AbstractContextManager[None]:
    check(uri)
    if not uri.startswith("sqlite"):
        return nullcontext()
    path = uri.removeprefix(_SQLITE)
    if path == uri or not path or set(path) & set("?#") or path.endswith(("/", ":memory:")):
        raise _no_use(uri, f"{_SQLITE}PATH is the only form for SQLite, and PATH names a file")
    return database.whole(Path(path))


def _experiment_id(name: str, uri: str) -> str:
    client = MlflowClient()
    found = client.get_experiment_by_name(name)
    if found is None:
        try:
            return client.create_experiment(name, artifact_location=_artifact_location(uri))
        except MlflowException as error:
            if error.error_code != "RESOURCE_ALREADY_EXISTS":
                raise
            found = client.get_experiment_by_name(name)
            assert found is not None
    if found.lifecycle_stage == "deleted":
        client.restore_experiment(found.experiment_id)
    return str(found.experiment_id)


def _artifact_location(uri: str) -> str | None:
    # Explicit, because a store first created by `mlflow ui` has roots that only a server can write.
    if uri.startswith(_SQLITE):
        return (Path(uri.removeprefix(_SQLITE)).parent / "mlartifacts").as_uri()
    return None
