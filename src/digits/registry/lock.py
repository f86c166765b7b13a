"""One decision at a time: what two promotions at once wait for."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from itertools import count
from uuid import uuid4

from filelock import FileLock, Timeout
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException

from digits.core.errors import BusyError
from digits.tracking import store
from digits.tracking.database import SQLITE

WAIT_S = 600.0
POLL_S = 0.5
RENEW_S = 5.0
# A ticket that stays the same for so many looks, a minute at least, is a dead process's.
# Looks are counted and no time is compared, so neither clocks nor outages matter.
PATIENCE = 120

_DRAW_S = 10.0
_SOURCE = "digits:/lock"  # MLflow wants an address; nothing is there
_OWNER, _BEAT = "owner", "beat"


@contextmanager
def exclusive(name: str, *, wait_s: float = WAIT_S) -> Iterator[Callable[[], None]]:
    """Hold the right to decide about the registered model `name`.

    With an SQLite store it is a file lock beside the database, which the kernel releases
    when its holder is killed. Servers offer no lock: there it is a ticket, see `_Ticket`.

    Yields:
        What to call right before the alias moves; it raises BusyError where the right was lost.

    Raises:
        BusyError: somebody else held it for `wait_s` seconds.
    """
    uri = store.tracking_uri()
    sqlite = uri.startswith(SQLITE)
    with _file_lock(uri, name, wait_s) if sqlite else _server_lock(name, wait_s) as still_held:
        yield still_held


@contextmanager
def _file_lock(uri: str, name: str, wait_s: float) -> Iterator[Callable[[], None]]:
    lock = FileLock(f"{uri.removeprefix(SQLITE)}.{name}.lock")
    try:
        lock.acquire(timeout=wait_s)
    except Timeout:
        raise BusyError(
            f"{lock.lock_file}: another promotion or rollback holds it for over {wait_s:g} s; "
            "wait for it or end it"
        ) from None
    try:
        yield lambda: None
    finally:
        lock.release()


@contextmanager
def _server_lock(name: str, wait_s: float) -> Iterator[Callable[[], None]]:
    ticket = _Ticket(f"{name}.deciding")
    try:
        ticket.wait_for_turn(wait_s)
        yield ticket.check
    finally:
        ticket.give_back()


class _Ticket:
    """A place in a queue of all machines: a version of the registered model `queue`.

    MLflow numbers versions one by one and uses no number twice, so whoever has the lowest that
    is left has the right. While its process lives, a thread changes a tag of it every RENEW_S
    seconds; who waits removes tickets before its own that do not change. A holder that was taken
    for dead finds its ticket gone when it checks.
    """

    def __init__(self, queue: str) -> None:
        self._client, self._queue, self._owner = MlflowClient(), queue, uuid4().hex
        self._number = self._draw()
        self._over = threading.Event()
        threading.Thread(target=self._renew, daemon=True).start()

    def wait_for_turn(self, wait_s: float) -> None:
        """Until no ticket is before this one."""
        deadline = time.monotonic() + wait_s
        looks: dict[tuple[int, str], int] = {}
        while before := self._before():
            looks = {ticket: looks.get(ticket, 0) + 1 for ticket in before}
            for (number, _), times in looks.items():
                if times > PATIENCE:
                    self._remove(number)
            if time.monotonic() > deadline:
                raise BusyError(
                    f"registered model {self._queue}: other promotions or rollbacks run for over "
                    f"{wait_s:g} s; wait for them or end them"
                )
            time.sleep(POLL_S)
        self.check()

    def check(self) -> None:
        """Raises BusyError where somebody took this process for dead."""
        owner = None
        with _absent():
            owner = self._client.get_model_version(self._queue, str(self._number)).tags.get(_OWNER)
        if owner != self._owner:
            raise BusyError(
                f"registered model {self._queue}: this process was silent for so long that the "
                "right to decide went to the next; nothing was moved, run it again"
            )

    def give_back(self) -> None:
        """Let the next one have its turn; where the server is away, it waits for `PATIENCE`."""
        self._over.set()
        with suppress(MlflowException, BusyError):
            self.check()
            self._remove(self._number)

    def _draw(self) -> int:
        # MLflow gives up after three tries for a number that others take at the same moment
        deadline = time.monotonic() + _DRAW_S
        while True:
            try:
                return self._drawn()
            except MlflowException:
                if time.monotonic() > deadline:
                    raise
            time.sleep(POLL_S)

    def _drawn(self) -> int:
        with _absent("RESOURCE_ALREADY_EXISTS"):
            purpose = "The queue of those who promote and roll back, kept by digits. No model."
            self._client.create_registered_model(self._queue, description=purpose)
        tags = {_OWNER: self._owner, _BEAT: "0"}
        version = self._client.create_model_version(
            self._queue, _SOURCE, tags=tags, await_creation_for=0
        )
        return int(version.version)

    def _renew(self) -> None:
        for beat in count(1):
            if self._over.wait(RENEW_S):
                return
            with suppress(MlflowException):  # the next one may get through
                self._client.set_model_version_tag(self._queue, str(self._number), _BEAT, str(beat))

    def _before(self) -> list[tuple[int, str]]:
        """The tickets before this one, each with its last sign of life."""
        found = self._client.search_model_versions(f"name = '{self._queue}'")
        tickets = [(int(ticket.version), ticket.tags.get(_BEAT, "")) for ticket in found]
        return [ticket for ticket in tickets if ticket[0] < self._number]

    def _remove(self, number: int) -> None:
        with _absent():
            self._client.delete_model_version(self._queue, str(number))


@contextmanager
def _absent(allowed: str = "RESOURCE_DOES_NOT_EXIST") -> Iterator[None]:
    try:
        yield
    except MlflowException as error:
        if error.error_code != allowed:
            raise
