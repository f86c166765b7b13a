"""The tracking store: its address, its database, its experiments, and its errors as one line."""

import logging
import os
import socket
import sqlite3
from collections.abc import Iterator
from contextlib import AbstractContextManager, closing, contextmanager, nullcontext
from json import JSONDecodeError
from pathlib import Path
from typing import Any

import mlflow
import requests
from filelock import FileLock
from google.protobuf.json_format import ParseError  # type: ignore[import-untyped]
from mlflow import MlflowClient
from mlflow.entities import Run
from mlflow.exceptions import MlflowException, RestException
from requests.exceptions import RequestException, RetryError

from imageproof.base._addresses import public, without_credentials
from imageproof.base.errors import ServiceError
from imageproof.base.files import replacing
from imageproof.base.text import one_line
from imageproof.mlflow import _page
from imageproof.system._process import ENVIRONMENT, PARENT_RUN, project_root

SQLITE = "sqlite:///"
_RETRIES = "MLFLOW_HTTP_REQUEST_MAX_RETRIES"
_TIMEOUT = "MLFLOW_HTTP_REQUEST_TIMEOUT"

_UNREACHABLE = (ConnectionError, TimeoutError, socket.gaierror)
_NO_REPLY = (*_UNREACHABLE, requests.ConnectionError, requests.Timeout, RetryError)
_AWAY = "TEMPORARILY_UNAVAILABLE"
# the last two are of answers of something else, which MLflow lets pass
_ERRORS = (MlflowException, RequestException, JSONDecodeError, ParseError)
_parent: str | None = None  # the run of an enclosing `mlflow run`


def tracking_uri() -> str:
    """MLFLOW_TRACKING_URI, or mlflow.db in the project's folder, where SQLite's paths start."""
    uri = os.environ.get("MLFLOW_TRACKING_URI") or f"{SQLITE}mlflow.db"
    if uri.startswith(SQLITE):
        return f"{SQLITE}{project_root() / uri.removeprefix(SQLITE)}"
    return uri


def portable_uri() -> str:
    """The address to record: without credentials, and a path within the project is relative."""
    within = tracking_uri().replace(f"{SQLITE}{project_root()}/", SQLITE, 1)
    return public(within)


def connect(experiment: str, *, view: bool = True) -> str:
    """Point MLflow at the store; returns the id of the experiment, which it makes if there is none.

    With `view` the experiment gets the description and the saved view of trainings.
    """
    global _parent
    _parent = os.environ.pop(PARENT_RUN, _parent)  # so that no child resumes it
    # a database that takes no row gets one line of ours, no traceback beside it
    logging.getLogger("mlflow.store.db.utils").setLevel(logging.CRITICAL)
    uri = tracking_uri()
    mlflow.set_tracking_uri(uri)
    with service_errors(), _opening(uri) if uri.startswith("sqlite") else nullcontext():
        return _experiment_id(experiment, uri, view=view)


def parent_run() -> Run | None:
    """The run of the `mlflow run` within which this process works, if there is one."""
    return MlflowClient().get_run(_parent) if _parent else None


@contextmanager
def service_errors() -> Iterator[None]:
    """Turn MLflow's errors into one line with the store's address; other errors pass."""
    try:
        yield
    except ServiceError:  # says itself what failed, as of the database of features
        raise
    except Exception as error:
        cause: BaseException = error
        while earlier := cause.__cause__ or cause.__context__:
            cause = earlier
        # SQLAlchemy's own error has SQLite's as its cause
        if not isinstance(error, _ERRORS) and not isinstance(cause, sqlite3.Error):
            raise
        address = mlflow.get_tracking_uri()
        if isinstance(cause, _UNREACHABLE):
            reason = f"no answer, {cause.strerror or cause}; is the server up?"
        else:
            # SQLite's own words, without the statement that SQLAlchemy shows
            plain = cause if isinstance(cause, sqlite3.Error) else error
            reason = one_line(without_credentials(str(plain), address), width=200)
        raise _unusable(address, reason) from error


@contextmanager
def ignoring(*codes: str) -> Iterator[None]:
    """Let MLflow's errors with these codes pass."""
    try:
        yield
    except MlflowException as error:
        if error.error_code not in codes:
            raise


@contextmanager
def retrying(times: int, *, timeout_s: int | None = None) -> Iterator[None]:
    """Within the block, MLflow repeats a request so often, and waits `timeout_s` for an answer."""
    users = {name: os.environ[name] for name in (_RETRIES, _TIMEOUT) if name in os.environ}
    os.environ[_RETRIES] = str(times)  # which MLflow reads for each request
    if timeout_s:
        os.environ[_TIMEOUT] = str(timeout_s)
    try:
        yield
    finally:
        for name in (_RETRIES, _TIMEOUT):
            os.environ.pop(name, None)
        os.environ |= users


def with_retries() -> AbstractContextManager[None]:
    """Within the block, MLflow waits two minutes for a server, or as the user has set it."""
    # a stage inherits what the command `run` has set for itself: that is not the user's
    default = ENVIRONMENT[_RETRIES]
    times = os.environ.get(_RETRIES, default)
    return retrying(6 if times == default else int(times))  # 6 take two minutes


def is_away(error: BaseException | None) -> bool:
    """Whether an error says that the store, or what is behind it, does not answer for now."""
    while error and not tracking_uri().startswith(SQLITE):
        status = getattr(getattr(error, "response", None), "status_code", 0)
        code = getattr(error, "error_code", "")  # of the database of a server, or ours
        failed = code == "INTERNAL_ERROR" and isinstance(error, RestException)
        if isinstance(error, _NO_REPLY) or status >= 500 or failed or code == _AWAY:
            return True
        error = error.__cause__ or error.__context__
    return False


def _unusable(uri: str, reason: str) -> ServiceError:
    return ServiceError(
        f"MLflow at {public(uri)}: {reason} (MLFLOW_TRACKING_URI says which store is asked)"
    )


@contextmanager
def _opening(uri: str) -> Iterator[None]:
    """Hold the lock under which MLflow first opens its SQLite file; create a missing one whole."""
    path = Path(uri.removeprefix(SQLITE))
    if not uri.startswith(SQLITE) or "?" in uri or not path.parent.is_dir():
        raise _unusable(uri, f"{SQLITE}PATH is the only form for SQLite, PATH a file in a folder")
    with FileLock(f"{path}.lock"):  # two processes that create it at once spoil it
        if path.exists():
            with closing(sqlite3.connect(path)) as database:  # MLflow would try again for 100 s
                database.execute("SELECT 1 FROM alembic_version")
        else:
            with replacing(path) as temporary:
                MlflowClient(f"{SQLITE}{temporary}").search_experiments(max_results=1)
        yield


def _experiment_id(name: str, uri: str, *, view: bool) -> str:
    client = MlflowClient()
    experiment: Any = client.get_experiment_by_name(name)
    if experiment is None:
        # explicit, as a store that `mlflow ui` created has roots that only a server can write to
        folder = Path(uri.removeprefix(SQLITE)).parent / "mlartifacts"
        location = folder.as_uri() if uri.startswith(SQLITE) else None
        with ignoring("RESOURCE_ALREADY_EXISTS"):  # another process created it
            client.create_experiment(name, artifact_location=location)
        experiment = client.get_experiment_by_name(name)
    if experiment.name != name:  # as of a proxy's empty answer: MLflow takes it for an experiment
        raise _unusable(uri, "its answers are not those of an MLflow server")
    if experiment.lifecycle_stage == "deleted":
        client.restore_experiment(experiment.experiment_id)
    if view:
        tags = {_page.NOTE: _page.named(_page.TRAININGS), **experiment.tags, **_page.tags()}
        with ignoring("PERMISSION_DENIED"):  # who may only read needs no newer view
            for key in [key for key in tags if experiment.tags.get(key) != tags[key]]:
                client.set_experiment_tag(experiment.experiment_id, key, tags[key])
    return str(experiment.experiment_id)
