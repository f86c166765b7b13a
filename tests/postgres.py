"""A PostgreSQL server of a test's own."""

import os
import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

DEBIAN = "/usr/lib/postgresql"
PASSWORD = "secret-of-postgres"


def installed() -> Path | None:
    """The folder of PostgreSQL's programs, which Debian keeps off the PATH; None without any."""
    places = [path.parent for path in sorted(Path(DEBIAN).glob("*/bin/initdb"), reverse=True)]
    found = shutil.which("initdb")
    return Path(found).resolve().parent if found else next(iter(places), None)


@contextmanager
def running(programs: Path) -> Iterator[str]:
    """The address of the database `postgres` on a server that asks for a password."""
    # not below pytest's folder, where only root may go, whom PostgreSQL refuses
    with TemporaryDirectory(prefix="postgres-") as place:
        folder, data = Path(place), Path(place, "data")
        (folder / "password").write_text(PASSWORD)
        owner: dict[str, Any] = {}
        if os.geteuid() == 0:
            owner = {"user": "postgres", "group": "postgres", "extra_groups": []}
            for path in (folder, folder / "password"):
                shutil.chown(path, "postgres", "postgres")

        def do(program: str, *arguments: str) -> None:
            command = [programs / program, "-D", data, *arguments]
            with (folder / "log").open("ab") as log:
                subprocess.run(command, cwd=folder, stdout=log, stderr=log, check=True, **owner)

        with socket.socket() as listener:
            listener.bind(("127.0.0.1", 0))
            port = listener.getsockname()[1]
        do("initdb", "-U", "me", "-A", "scram-sha-256", "--pwfile=password", "--no-sync")
        options = f"-F -h 127.0.0.1 -p {port} -c unix_socket_directories="
        do("pg_ctl", "start", "--wait", "-o", options)
        try:
            yield f"postgresql://me:{PASSWORD}@127.0.0.1:{port}/postgres"
        finally:
            do("pg_ctl", "stop", "-m", "immediate")
