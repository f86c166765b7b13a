"""The processors of this machine, and how many trainings they have cores for."""

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

from digits.core import system

# CPU instruction sets TensorFlow dispatches on; others change the last bits of a result.
FEATURES = ("amx", "asimd", "avx", "bf16", "f16c", "fma", "sse4", "sve")


def cpu() -> str:
    """The processor's name and its number of cores."""
    return f"{system.processor()}, {os.cpu_count()} cores"


def trainings_at_once(threads: int) -> int:
    """How many trainings with this number of threads have cores of their own; at least 1."""
    return max(1, system.processors() // threads)


def cpu_features() -> list[str]:
    """The instruction sets for floating-point vectors, sorted; empty except on Linux.

    With the environment variable DIGITS_NO_BFLOAT16, those for bfloat16 are left out: then no
    training uses them.
    """
    flags = system.instruction_sets()
    if os.environ.get("DIGITS_NO_BFLOAT16"):
        flags = [flag for flag in flags if "bf16" not in flag]
    return sorted(flag for flag in flags if flag.startswith(FEATURES))


class Slots:
    """At most so many trainings at a time, across processes. A killed process frees its slot.

    A slot is a locked file, and not a concurrency limit of Prefect: it works without a server and
    on Dask workers, and is free at once, not when a lease of minutes runs out.
    """

    def __init__(self, root: Path, slots: int | list[str]) -> None:
        """`slots` is their number, or their names."""
        self._folder = root / ".state/slots"
        self._names = slots if isinstance(slots, list) else [str(n) for n in range(slots)]
        self._folder.mkdir(parents=True, exist_ok=True)

    def take(self) -> FileLock | None:
        """A slot to `release()`, or None if all are taken."""
        for name in self._names:
            lock = FileLock(self._folder / f"{name}.lock", timeout=0)
            with suppress(Timeout):
                lock.acquire()
                return lock
        return None

    @contextmanager
    def one(
        self, on_wait: Callable[[str], None], *, check: Callable[[], None] = lambda: None
    ) -> Iterator[str]:
        """Hold a slot during this block, which gets its name. `check` may raise to stop waiting."""
        slot = self.take()
        if slot is None:
            on_wait("waiting for free cores: other trainings run in this folder")
        while slot is None:
            check()
            time.sleep(0.2)
            slot = self.take()
        try:
            yield Path(slot.lock_file).stem
        finally:
            slot.release()
