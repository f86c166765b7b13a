"""Where MLflow keeps the runs: its address, its first creation, and what killed processes left."""

import os
import re
import socket
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from textwrap import shorten

import mlflow
import psutil
from filelock import FileLock
from mlflow import MlflowClient
from mlflow.entities import Run, ViewType
from mlflow.exceptions import MlflowException
from requests import RequestException

from digits.errors import ServiceError
from digits.process import project_root

EXPERIMENT = "digits"
COMPARISONS = "digits-comparisons"

PROCESS_TAG = "process"
_SQLITE = "sqlite:///"
_SECONDS_APART = 60


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
    """The address as it may be recorded: a path within the project is relative, no password."""
    uri, here = tracking_uri(), f"{_SQLITE}{project_root()}/"
    return without_password(_SQLITE + uri.removeprefix(here) if uri.startswith(here) else uri)


def connect(experiment: str = EXPERIMENT) -> str:
    """Point MLflow at the store, create what is missing, and return the experiment's id.

    Raises:
        ServiceError: the store does not answer.
    """
    # MLflow would resume the run of an enclosing `mlflow run` in every child process;
    # `parent_run` keeps it as the parent.
    global _parent
    _parent = os.environ.pop("MLFLOW_RUN_ID", None) or _parent
    uri = tracking_uri()
    with service_errors(uri), _alone(uri):
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
        line = (
            f"MLflow at {uri or mlflow.get_tracking_uri()}: {_reason(error)} "
            "(MLFLOW_TRACKING_URI says which store is asked)"
        )
        raise ServiceError(without_password(line)) from error


def without_password(text: str) -> str:
    """The text with `user:password@` in an address starred out."""
    return re.sub(r"//[^/@\s]+@", "//***@", text)


def _reason(error: BaseException) -> str:
    """Why there is no answer, which lies at the bottom of a long chain; else what MLflow says."""
    cause = error
    while deeper := cause.__cause__ or cause.__context__:
        cause = deeper
    if isinstance(cause, ConnectionError | TimeoutError | socket.gaierror):
        return f"no answer, {cause.strerror or cause}; is the server up?"
    return shorten(str(error), 200, placeholder=" …")


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
def _alone(uri: str) -> Iterator[None]:
    # Two processes that migrate a new SQLite store at once destroy each other's work.
    if not uri.startswith(_SQLITE):
        yield
        return
    path = uri.removeprefix(_SQLITE)
    with FileLock(f"{path}.lock"):
        # MLflow would try for 100 s to open what is no database, or may not be written
        with closing(sqlite3.connect(path, timeout=60)) as database:
            database.execute("BEGIN IMMEDIATE")
        yield


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
