"""One decision at a time: what two promotions at once wait for."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

from filelock import FileLock, Timeout
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException

from digits.errors import BusyError
from digits.tracking import store

WAIT_S = 600.0
POLL_S = 0.5
# Longer than any decision takes; a holder on another machine that is older was killed.
STALE = timedelta(minutes=15)

_SQLITE = "sqlite:///"
_HOLDER, _SINCE = "holder", "since"


@contextmanager
def exclusive(name: str, *, wait_s: float = WAIT_S) -> Iterator[None]:
    """Hold the right to decide about the registered model `name`.

    With an SQLite store it is a file lock beside the database, which the kernel releases
    when its holder is killed. Servers offer no lock, but a registered model's name is unique:
    there, who can create the empty model `<name>.deciding` holds it, and deletes it after.

    Raises:
        BusyError: somebody else held it for `wait_s` seconds.
    """
    uri = store.tracking_uri()
    lock = _file_lock(uri, name, wait_s) if uri.startswith(_SQLITE) else _server_lock(name, wait_s)
    with lock:
        yield


@contextmanager
def _file_lock(uri: str, name: str, wait_s: float) -> Iterator[None]:
    lock = FileLock(f"{uri.removeprefix(_SQLITE)}.{name}.lock")
    try:
        lock.acquire(timeout=wait_s)
    except Timeout:
        raise BusyError(
            f"{lock.lock_file}: another promotion or rollback holds it for over {wait_s:g} s; "
            "wait for it or end it"
        ) from None
    try:
        yield
    finally:
        lock.release()


@contextmanager
def _server_lock(name: str, wait_s: float) -> Iterator[None]:
    client, key = MlflowClient(), f"{name}.deciding"
    deadline = time.monotonic() + wait_s
    while not _taken(client, key):
        if time.monotonic() > deadline:
            raise BusyError(
                f"registered model {key}: another promotion or rollback of {name} runs for over "
                f"{wait_s:g} s; if none does, delete that model on the MLflow server"
            )
        time.sleep(POLL_S)
    try:
        yield
    finally:
        _release(client, key)


def _taken(client: MlflowClient, key: str) -> bool:
    tags = {_HOLDER: store.this_process(), _SINCE: datetime.now(UTC).isoformat()}
    try:
        client.create_registered_model(key, tags)
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise
        _release_if_stale(client, key)
        return False
    return True


def _release_if_stale(client: MlflowClient, key: str) -> None:
    try:
        tags = client.get_registered_model(key).tags
        gone = store.is_gone(tags[_HOLDER])
        old = datetime.now(UTC) - datetime.fromisoformat(tags[_SINCE]) > STALE
    except (MlflowException, KeyError):  # released, or not yet whole
        return
    if gone or old:
        _release(client, key)


def _release(client: MlflowClient, key: str) -> None:
    try:
        client.delete_registered_model(key)
    except MlflowException as error:
        if error.error_code != "RESOURCE_DOES_NOT_EXIST":
            raise
