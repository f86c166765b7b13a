"""Slots for trainings, so that those of all flow runs and sweeps in a folder share the cores.

A slot is a locked file, and not a concurrency limit of Prefect: it works without a server and on
Dask workers, and a killed process frees its slot at once, not when a lease of minutes runs out.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

FOLDER = Path(".state/slots")
POLL_S = 0.2


class Slots:
    """At most `count` trainings at a time, across processes. A killed process frees its slot."""

    def __init__(self, root: Path, count: int) -> None:
        self._folder = root / FOLDER
        self._count = count
        self._folder.mkdir(parents=True, exist_ok=True)

    def take(self) -> FileLock | None:
        """A slot to `release()`, or None if all are taken."""
        for number in range(self._count):
            lock = FileLock(self._folder / f"{number}.lock", timeout=0)
            try:
                lock.acquire()
            except Timeout:
                continue
            return lock
        return None

    @contextmanager
    def one(
        self, on_wait: Callable[[str], None], *, check: Callable[[], None] = lambda: None
    ) -> Iterator[None]:
        """Hold a slot during this block. Waits for one; `check` may raise to give up."""
        slot = self.take()
        if slot is None:
            on_wait("waiting for free cores: other trainings run in this folder")
        while slot is None:
            check()
            time.sleep(POLL_S)
            slot = self.take()
        try:
            yield
        finally:
            slot.release()
