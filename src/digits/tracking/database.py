"""The database behind a store: ask whether a server answers, and create a SQLite file whole."""

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from glob import escape
from pathlib import Path
from queue import Empty, SimpleQueue
from threading import Thread

from filelock import FileLock

from digits.core.addresses import public, without_credentials
from digits.core.errors import ServiceError, one_line
from digits.core.files import replacing
from digits.core.process import missing_extra

SQLITE = "sqlite:///"
_SERVERS = ("postgresql", "mysql", "mssql")


def check(uri: str) -> None:
    """Ask a tracking store that is a database server whether it answers; others pass.

    Raises:
        ServiceError: it does not answer.
    """
    if uri.startswith(_SERVERS) and (reason := no_answer(uri)):
        raise unusable(uri, reason)


def unusable(uri: str, reason: str) -> ServiceError:
    """The error of a tracking store that cannot be used."""
    return ServiceError(
        f"MLflow at {public(uri)}: {reason} (MLFLOW_TRACKING_URI says which store is asked)"
    )


def no_answer(uri: str) -> str | None:
    """Why the database at a SQLAlchemy address does not answer; None if it does.

    The limit is the time that MLflow gives a server over HTTP, retries included. MLflow and Optuna
    themselves would retry for minutes, and wait forever for a server that accepts and is silent.
    """
    limit_s = float(os.environ.get("MLFLOW_HTTP_REQUEST_TIMEOUT", "10")) * (
        1 + int(os.environ.get("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "3"))
    )
    answers: SimpleQueue[str | None] = SimpleQueue()
    # a thread, because no setting of a driver limits every wait; a daemon thread delays no exit
    Thread(target=lambda: answers.put(_connection_error(uri)), daemon=True).start()
    try:
        return answers.get(timeout=limit_s)
    except Empty:
        return f"no answer within {limit_s:g} s; is the server up?"


def _connection_error(uri: str) -> str | None:
    from sqlalchemy import NullPool, create_engine, text

    try:
        with create_engine(uri, poolclass=NullPool).connect() as connection:
            connection.execute(text("SELECT 1"))
    except ModuleNotFoundError as error:
        return missing_extra(error) or f"its Python driver {error.name} is not installed"
    except Exception as error:  # each driver has its own
        return reason(getattr(error, "orig", None) or error, uri)
    return None


def reason(error: BaseException, uri: str) -> str:
    """The error's message on one line, without the credentials of the address."""
    return one_line(without_credentials(str(error), uri), width=200)


@contextmanager
def opening(path: Path) -> Iterator[None]:
    """Hold the lock under which MLflow first opens its SQLite file; create a missing one.

    Two processes that create the file at once spoil it, and a killed one leaves it half made:
    MLflow creates its tables in a temporary file, which is then renamed.

    Raises:
        sqlite3.Error: the file is no database of MLflow's, cannot be written, or has no folder.
    """
    if path.is_dir() or not path.parent.is_dir():
        found = "it is a folder" if path.is_dir() else f"there is no folder {path.parent}"
        raise sqlite3.OperationalError(f"unable to open database file, {found}")
    try:
        lock = FileLock(f"{path}.lock").acquire()
    except OSError as error:
        raise sqlite3.OperationalError(f"{error.filename}: {error.strerror}") from None
    with lock:
        if path.exists() and path.stat().st_size:
            _check_usable(path)
        else:
            _create(path)
        yield


def _check_usable(path: Path) -> None:
    # MLflow would retry for 100 s, or fail within a migration
    with closing(sqlite3.connect(path, timeout=60)) as database:
        database.execute("BEGIN IMMEDIATE")
        tables = database.execute("SELECT name FROM sqlite_master").fetchall()
    if ("alembic_version",) not in tables:
        raise sqlite3.OperationalError(
            "not a database of MLflow's, or one whose creation was interrupted; move it away"
        )


def _create(path: Path) -> None:
    from mlflow import MlflowClient

    for leftover in path.parent.glob(f".[0-9]*-{escape(path.name)}*"):  # of killed processes
        leftover.unlink(missing_ok=True)
    with replacing(path) as temporary:
        MlflowClient(f"{SQLITE}{temporary}").search_experiments(max_results=1)
