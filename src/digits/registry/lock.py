"""One promotion or rollback at a time."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from http import HTTPStatus

from filelock import FileLock, Timeout
from mlflow.exceptions import MlflowException
from requests import HTTPError

from digits.core.errors import BusyError, ServiceError
from digits.registry.history import account
from digits.registry.ledger import ServerTurn, Turn
from digits.tracking import store
from digits.tracking.database import SQLITE

WAIT_S = 600.0


def exclusive(name: str, *, wait_s: float = WAIT_S) -> AbstractContextManager[Turn]:
    """Hold the right to move aliases of the registered model `name` for the time of the block.

    Beside an SQLite store it is a file lock, which the kernel releases if its holder is killed.
    Servers offer no lock; there it is a turn in the ledger that all machines share.

    Raises:
        BusyError: another process holds it for `wait_s` seconds.
        ServiceError: the server's user may not change what a decision changes.
    """
    uri = store.tracking_uri()
    if uri.startswith(SQLITE):
        return _file_lock(f"{uri.removeprefix(SQLITE)}.{name}.lock", wait_s)
    return _turn(name, wait_s)


@contextmanager
def _file_lock(path: str, wait_s: float) -> Iterator[Turn]:
    try:
        lock = FileLock(path).acquire(timeout=wait_s)
    except Timeout:
        raise BusyError(
            f"{path}: another promotion or rollback holds it for over {wait_s:g} s; "
            "wait for it or end it"
        ) from None
    with lock:
        yield Turn()


@contextmanager
def _turn(name: str, wait_s: float) -> Iterator[Turn]:
    turn, ledger = None, f"{name}-decisions"
    try:
        turn = ServerTurn(ledger)
        turn.wait(wait_s)
        yield turn
    except (MlflowException, HTTPError) as error:
        if not _is_denied(error):
            raise
        raise ServiceError(
            f"MLflow: {account()} may not decide on {name}; an administrator grants EDIT on the "
            f"experiments {name} and {ledger} and on the registered model {name} "
            "(docs/how-to/team.md)"
        ) from error
    finally:
        if turn:
            turn.give_back()


def _is_denied(error: MlflowException | HTTPError) -> bool:
    """Whether the server's user lacks a permission; of artifacts, the answer is bare HTTP."""
    if isinstance(error, MlflowException):
        return bool(error.error_code == "PERMISSION_DENIED")
    return error.response is not None and error.response.status_code == HTTPStatus.FORBIDDEN
