"""Slots for trainings: those of all flow runs in a folder share the machine's cores."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

FOLDER = Path(".state/slots")
POLL_S = 0.2


class Slots:
    """So many trainings at once, counted over all processes; a killed one frees its slot."""

    def __init__(self, root: Path, count: int) -> None:
        self._folder = root / FOLDER
        self._count = count
        self._folder.mkdir(parents=True, exist_ok=True)

    def take(self) -> FileLock | None:
        """A slot to `release()`, or None while all are taken."""
        for number in range(self._count):
            lock = FileLock(self._folder / f"{number}.lock", timeout=0)
            try:
                lock.acquire()
            except Timeout:
                continue
            return lock
        return None

    @contextmanager
    def one(self, on_wait: Callable[[str], None]) -> Iterator[None]:
        """A slot for this block, waited for where all are taken."""
        slot = self.take()
        if slot is None:
            on_wait("waiting for free cores: other trainings run in this folder")
        while slot is None:
            time.sleep(POLL_S)
            slot = self.take()
        try:
            yield
        finally:
            slot.release()
