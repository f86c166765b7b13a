"""The database of a store: asked before a library waits for it, and made whole or not at all."""

import os
import sqlite3
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from datetime import UTC, datetime
from glob import escape
from pathlib import Path
from queue import Empty, SimpleQueue
from textwrap import shorten
from threading import Thread
from uuid import uuid4

from filelock import FileLock

from digits.core.addresses import without_credentials

SQLITE = "sqlite:///"
SERVERS = ("postgresql", "mysql", "mssql")
# What MLflow writes into these when it makes them is no one's work.
_FILLED_AT_FIRST = ("alembic_version", "experiments", "workspaces")


def no_answer(uri: str) -> str | None:
    """Why the database at an SQLAlchemy address gives no answer; None where it does.

    It has the time that MLflow gives a server over HTTP, all tries together. MLflow and Optuna
    themselves would try for minutes, and wait for ever for a server that accepts and is silent.
    """
    limit_s = float(os.environ.get("MLFLOW_HTTP_REQUEST_TIMEOUT", "10")) * (
        1 + int(os.environ.get("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "3"))
    )
    answers: SimpleQueue[str | None] = SimpleQueue()
    # a thread, because no setting of a driver limits every wait; as a daemon it delays no exit
    Thread(target=lambda: answers.put(_refusal(uri)), daemon=True).start()
    try:
        return answers.get(timeout=limit_s)
    except Empty:
        return f"no answer within {limit_s:g} s; is the server up?"


def _refusal(uri: str) -> str | None:
    from sqlalchemy import NullPool, create_engine, text

    try:
        with create_engine(uri, poolclass=NullPool).connect() as connection:
            connection.execute(text("SELECT 1"))
    except ImportError:
        kind = uri.partition("://")[0]
        return (
            f"no Python driver for {kind} is installed"
            " (that of postgresql:// comes with this package)"
        )
    except Exception as error:  # each driver has its own
        return reason(getattr(error, "orig", None) or error, uri)
    return None


def reason(error: BaseException, uri: str) -> str:
    """What an error says, on one line and without the credentials of the address."""
    return shorten(without_credentials(str(error), uri), 200, placeholder=" …")


@contextmanager
def whole(path: Path) -> Iterator[None]:
    """Nobody else opens MLflow's SQLite database for the first time; made where there is none.

    Raises:
        sqlite3.Error: it is no database, has no folder, or cannot be written to.
    """
    if path.is_dir() or not path.parent.is_dir():
        found = "it is a folder" if path.is_dir() else f"there is no folder {path.parent}"
        raise sqlite3.OperationalError(f"unable to open database file, {found}")
    try:
        lock = FileLock(f"{path}.lock").acquire()
    except OSError as error:
        raise sqlite3.OperationalError(f"{error.filename}: {error.strerror}") from None
    with lock:
        _remove_leftovers(path)
        if path.exists() and _is_unfinished(path):
            _set_aside(path)
        if not path.exists():
            _make(path)
        yield


def _make(path: Path) -> None:
    """Let MLflow make its tables in a file beside it, which takes the place when it is whole."""
    from mlflow import MlflowClient

    temporary = path.with_name(f"{_beside(path)}{uuid4().hex}")
    try:
        MlflowClient(f"{SQLITE}{temporary}").search_experiments(max_results=1)
        with temporary.open("rb") as file:
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        _remove_leftovers(path)


def _beside(path: Path) -> str:
    return f".{path.name}.new-"


def _remove_leftovers(path: Path) -> None:
    for leftover in path.parent.glob(f"{escape(_beside(path))}*"):
        leftover.unlink(missing_ok=True)


def _is_unfinished(path: Path) -> bool:
    """Whether a process was killed while it made this database, so that nothing is in it yet."""
    # MLflow would try for 100 s to open what is no database, or may not be written
    with closing(sqlite3.connect(path, timeout=60)) as database:
        database.execute("BEGIN IMMEDIATE")
        names = database.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
        tables = {name for (name,) in names}
        if not tables:
            return True
        kept = [f'SELECT 1 FROM "{name}"' for name in tables.difference(_FILLED_AT_FIRST)]
        if "experiments" in tables:
            kept.append("SELECT 1 FROM experiments WHERE name != 'Default'")
        if any(database.execute(f"{rows} LIMIT 1").fetchone() for rows in kept):
            return False
        return _version(database) != _newest_version()


def _version(database: sqlite3.Connection) -> str | None:
    with suppress(sqlite3.OperationalError):  # no such table
        found = database.execute("SELECT version_num FROM alembic_version").fetchone()
        return found and str(found[0])
    return None


def _newest_version() -> str | None:
    import mlflow.store.db_migrations
    from alembic.script import ScriptDirectory

    [folder] = mlflow.store.db_migrations.__path__
    return ScriptDirectory(folder).get_current_head()


def _set_aside(path: Path) -> None:
    aside = path.with_name(f"{path.name}.broken-{datetime.now(UTC):%Y%m%dT%H%M%S%f}")
    path.replace(aside)
    print(
        f"warning: {path}: its making was interrupted and nothing is in it; made anew"
        f" (the old file is {aside.name})",
        file=sys.stderr,
    )
