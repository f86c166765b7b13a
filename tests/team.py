"""The real servers of a team for tests: started once, each when a test first needs it."""

import os
import random
import shutil
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import mkdtemp

from filelock import FileLock
from support import REPOSITORY

from flows.team.control import Team
from flows.team.settings import FOLDER, PORTS, Settings


@contextmanager
def shared(place: Path) -> Iterator[Team]:
    """The team of all test processes that name the same place; the last one ends it."""
    lock, users, where = FileLock(place / "team.lock"), place / "team.users", place / "team.where"
    with lock:
        if not where.exists():
            # not below pytest's folder, where only root may go, whom PostgreSQL refuses
            made = Path(mkdtemp(prefix="team-"))
            made.chmod(0o711)
            shutil.copy(REPOSITORY / "params.yaml", made)
            where.write_text(f"{made} {_free_ports()}")
        root, port = where.read_text().split()
        users.write_text(str(_count(users) + 1))
        team = Team(Settings(REPOSITORY, Path(root, FOLDER), int(port)))
    try:
        yield team
    finally:
        with lock:
            users.write_text(str(_count(users) - 1))
            if _count(users) == 0:
                team.down()
                shutil.rmtree(root)
                where.unlink()


def _count(users: Path) -> int:
    return int(users.read_text()) if users.exists() else 0


def _free_ports() -> int:
    """The first of as many ports, below those that the system gives to clients."""
    random_source = random.Random(os.getpid())
    while True:
        first = random_source.randrange(16_000, 32_000, len(PORTS))
        if all(_is_free(first + number) for number in range(len(PORTS))):
            return first


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) != 0
