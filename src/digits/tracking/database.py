"""The database behind a store: ask whether a server answers, and create a SQLite file whole."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from filelock import FileLock

from digits.core.addresses import public, without_credentials
from digits.core.errors import ServiceError, one_line
from digits.core.files import replacing

SQLITE = "sqlite:///"


def unusable(uri: str, reason: str) -> ServiceError:
    return ServiceError(
        f"MLflow at {public(uri)}: {reason} (MLFLOW_TRACKING_URI says which store is asked)"
    )


def no_answer(uri: str) -> str | None:
    """Why a database does not answer, or None; MLflow and Optuna would ask again for minutes."""
    from sqlalchemy import NullPool, create_engine, text

    try:
        with create_engine(uri, poolclass=NullPool).connect() as connection:
            connection.execute(text("SELECT 1"))
    except ModuleNotFoundError as error:
        return f"its Python driver {error.name} is not installed"
    except Exception as error:  # each driver has its own
        return reason(getattr(error, "orig", None) or error, uri)
    return None


def reason(error: BaseException, uri: str) -> str:
    return one_line(without_credentials(str(error), uri), width=200)


@contextmanager
def opening(uri: str) -> Iterator[None]:
    """Hold the lock under which MLflow first opens its SQLite file; create a missing one whole."""
    from mlflow import MlflowClient

    name = uri.removeprefix(SQLITE)
    path = Path(name)
    is_file = path.parent.is_dir() and not path.is_dir() and not name.endswith(":memory:")
    if name == uri or not is_file or set(name) & set("?#"):
        raise unusable(uri, f"{SQLITE}PATH is the only form for SQLite, PATH a file in a folder")
    with FileLock(f"{path}.lock"):  # two processes that create it at once spoil it
        if path.exists():
            with closing(sqlite3.connect(path)) as database:  # MLflow would try again for 100 s
                database.execute("SELECT 1 FROM alembic_version")
        else:
            with replacing(path) as temporary:
                MlflowClient(f"{SQLITE}{temporary}").search_experiments(max_results=1)
        yield
