"""Work on a worker of a Dask cluster: its lines as they come, its end when it is given up.

Dask runs again elsewhere what a worker did when it was killed. Addresses, TLS and time limits come
from Dask's own configuration, such as the variables DASK_….
"""

from collections.abc import Callable
from contextlib import suppress
from queue import Empty, SimpleQueue
from threading import Event, Thread
from typing import TYPE_CHECKING, Any, TypeVar
from uuid import uuid4

from digits.core.commands import LONG_GRACE_S, Commands
from digits.core.errors import ServiceError

if TYPE_CHECKING:
    from distributed import Client

T = TypeVar("T")
OnLine = Callable[[str], None]
Function = Callable[[T, Commands, OnLine], None]

POLL_S = 0.5
LAST_LINES_S = 2.0  # lines and results take different ways


def run_on_worker(
    client: "Client",
    function: Function[T],
    argument: T,
    *,
    on_line: OnLine,
    check: Callable[[float], None],
) -> None:
    """Run `function(argument, commands, on_line)` on a worker until it ends.

    Args:
        client: Of the scheduler.
        function: One that the workers can import.
        argument: Its first argument.
        on_line: Gets here the lines that the function gives to its own `on_line` there.
        check: Called again and again with seconds to wait; if it raises, the function's
            commands are ended.

    Raises:
        ServiceError: the scheduler is gone, no worker is left, or each that took it was killed.
        Exception: what the function raised.
    """
    from distributed import KilledWorker
    from distributed.client import ClosedClientError
    from distributed.scheduler import NoWorkerError

    scheduler: Any = client  # typed in part only
    label, address = f"digits-{uuid4().hex}", scheduler.scheduler.address
    lines: SimpleQueue[str | None] = SimpleQueue()
    scheduler.subscribe_topic(label, lambda message: lines.put(message[1]))
    future = scheduler.submit(_on_worker, function, argument, label, key=label, pure=False)
    try:
        told = False
        while not future.done():
            told = _tell(lines, on_line)
            check(POLL_S)
        if future.status in ("cancelled", "lost"):  # as all are when the scheduler is lost
            raise ServiceError(f"scheduler: {address} is gone")
        if not told:
            _tell(lines, on_line, wait_s=LAST_LINES_S)
        future.result()
    except KilledWorker:
        raise ServiceError(f"scheduler: {address}: each worker that took it was killed") from None
    except NoWorkerError:
        raise ServiceError(f"scheduler: {address} has no worker; start `dask worker`s") from None
    finally:
        with suppress(ClosedClientError):  # as it is when the scheduler is lost
            future.cancel()
            scheduler.unsubscribe_topic(label)


def _tell(lines: "SimpleQueue[str | None]", on_line: OnLine, *, wait_s: float = 0) -> bool:
    """Give the lines that are there to `on_line`; whether the last one, None, was among them."""
    with suppress(Empty):
        while (line := lines.get(timeout=wait_s)) is not None:
            on_line(line)
        return True
    return False


def _on_worker(function: Function[T], argument: T, label: str) -> None:
    from distributed import Status, get_worker

    worker, commands = get_worker(), Commands()
    key, over = worker.get_current_task(), Event()

    def end_if_cancelled() -> None:
        while not over.wait(POLL_S):
            task = worker.state.tasks.get(key)
            # a worker that leaves has lost the scheduler: what it runs is run anew elsewhere
            leaves = worker.status in (Status.closing, Status.closed, Status.failed)
            if leaves or task is None or task.state == "cancelled":
                commands.stop(grace_s=LONG_GRACE_S)
                return

    watching = Thread(target=end_if_cancelled, daemon=True)
    watching.start()
    try:
        function(argument, commands, lambda line: worker.log_event(label, line))
    finally:
        over.set()
        watching.join()
        worker.log_event(label, None)
