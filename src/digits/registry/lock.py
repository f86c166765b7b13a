"""One promotion or rollback at a time."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from uuid import uuid4

from filelock import FileLock, Timeout
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException

from digits.core.errors import BusyError
from digits.tracking import store
from digits.tracking.database import SQLITE
from digits.tracking.store import ignoring

WAIT_S = 600.0
POLL_S = 0.5
RENEW_S = 5.0
# A ticket that is unchanged in so many polls (a minute at least) belongs to a dead process.
# Polls are counted and no times compared, so neither clocks nor outages matter.
PATIENCE = 120

_DRAW_S = 10.0
_SOURCE = "digits:/lock"  # MLflow requires an address; nothing is there
_OWNER, _BEAT = "owner", "beat"


def exclusive(name: str, *, wait_s: float = WAIT_S) -> AbstractContextManager[Callable[[], None]]:
    """Hold the right to move aliases of the registered model `name` for the time of the block.

    Beside an SQLite store it is a file lock, which the kernel releases if its holder is killed.
    Servers offer no lock; there it is a ticket, see `_Ticket`.

    The block gets a function to call right before an alias moves; it raises BusyError if the
    right was lost.

    Raises:
        BusyError: another process holds it for `wait_s` seconds.
    """
    uri = store.tracking_uri()
    if uri.startswith(SQLITE):
        return _file_lock(f"{uri.removeprefix(SQLITE)}.{name}.lock", wait_s)
    return _server_lock(name, wait_s)


@contextmanager
def _file_lock(path: str, wait_s: float) -> Iterator[Callable[[], None]]:
    try:
        lock = FileLock(path).acquire(timeout=wait_s)
    except Timeout:
        raise BusyError(
            f"{path}: another promotion or rollback holds it for over {wait_s:g} s; "
            "wait for it or end it"
        ) from None
    with lock:
        yield lambda: None


@contextmanager
def _server_lock(name: str, wait_s: float) -> Iterator[Callable[[], None]]:
    ticket = _Ticket(f"{name}.deciding")
    try:
        ticket.wait_for_turn(wait_s)
        yield ticket.check
    finally:
        ticket.give_back()


class _Ticket:
    """A place in a queue across machines: a version of the registered model `queue`.

    MLflow numbers versions one by one and never reuses a number, so the lowest number left has
    the right. While its process lives, a thread changes a tag of the ticket every RENEW_S
    seconds. Waiting processes delete tickets before their own that do not change; a holder that
    was wrongly taken for dead finds its ticket gone when it checks.
    """

    def __init__(self, queue: str) -> None:
        self._client, self._queue, self._owner = MlflowClient(), queue, uuid4().hex
        self._number = self._draw()
        self._over = threading.Event()
        threading.Thread(target=self._renew, daemon=True).start()

    def wait_for_turn(self, wait_s: float) -> None:
        """Return when no ticket is before this one."""
        deadline = time.monotonic() + wait_s
        polls: dict[tuple[int, str], int] = {}
        while before := self._before():
            polls = {ticket: polls.get(ticket, 0) + 1 for ticket in before}
            for (number, _), unchanged in polls.items():
                if unchanged > PATIENCE:
                    self._remove(number)
            if time.monotonic() > deadline:
                raise BusyError(
                    f"registered model {self._queue}: other promotions or rollbacks run for over "
                    f"{wait_s:g} s; wait for them or end them"
                )
            time.sleep(POLL_S)
        self.check()

    def check(self) -> None:
        """Raise BusyError if another process took this one for dead."""
        owner = None
        with ignoring("RESOURCE_DOES_NOT_EXIST"):
            owner = self._client.get_model_version(self._queue, str(self._number)).tags.get(_OWNER)
        if owner != self._owner:
            raise BusyError(
                f"registered model {self._queue}: this process was silent for so long that the "
                "right to decide went to the next; nothing was moved, run it again"
            )

    def give_back(self) -> None:
        """Delete the ticket. If the server is away, the next process waits for `PATIENCE`."""
        self._over.set()
        with suppress(MlflowException, BusyError):
            self.check()
            self._remove(self._number)

    def _draw(self) -> int:
        deadline = time.monotonic() + _DRAW_S
        purpose = "The queue of those who promote and roll back, kept by digits. No model."
        tags = {_OWNER: self._owner, _BEAT: "0"}
        while True:
            try:
                with ignoring("RESOURCE_ALREADY_EXISTS"):
                    self._client.create_registered_model(self._queue, description=purpose)
                version = self._client.create_model_version(
                    self._queue, _SOURCE, tags=tags, await_creation_for=0
                )
                return int(version.version)
            except MlflowException:  # gives up if others take the same number three times
                if time.monotonic() > deadline:
                    raise
            time.sleep(POLL_S)

    def _renew(self) -> None:
        while not self._over.wait(RENEW_S):
            beat = uuid4().hex
            with suppress(MlflowException):  # the next beat may succeed
                self._client.set_model_version_tag(self._queue, str(self._number), _BEAT, beat)

    def _before(self) -> list[tuple[int, str]]:
        """Number and beat of each ticket before this one."""
        tickets = self._client.search_model_versions(f"name = '{self._queue}'")
        numbered = [(int(ticket.version), ticket.tags.get(_BEAT, "")) for ticket in tickets]
        return [ticket for ticket in numbered if ticket[0] < self._number]

    def _remove(self, number: int) -> None:
        with ignoring("RESOURCE_DOES_NOT_EXIST"):
            self._client.delete_model_version(self._queue, str(number))
