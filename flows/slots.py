"""Slots for trainings: those of all flow runs of a project share the machine's cores."""

from pathlib import Path

from filelock import FileLock, Timeout

FOLDER = Path(".dvc/tmp/slots")


class Slots:
    """So many trainings at once, counted over all processes; a killed one frees its slot."""

    def __init__(self, root: Path, count: int) -> None:
        self._folder = root / FOLDER
        self._count = count
        self._folder.mkdir(parents=True, exist_ok=True)

    def take(self) -> FileLock | None:
        """A slot to `release()`, or None while all are taken."""
        for number in range(self._count):
            if slot := _try(self._folder / f"{number}.lock"):
                return slot
        return None

    def taken(self) -> int:
        """How many trainings run now, also of runs that allow more at once than this one."""
        count = 0
        for path in self._folder.glob("*.lock"):
            if slot := _try(path):
                slot.release()
            else:
                count += 1
        return count


def _try(path: Path) -> FileLock | None:
    lock = FileLock(path, timeout=0)
    try:
        lock.acquire()
    except Timeout:
        return None
    return lock
