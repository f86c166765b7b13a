"""Servers that a test starts and ends."""

import os
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil


@contextmanager
def running(
    *command: str | Path, cwd: Path, env: Mapping[str, str] | None = None
) -> Iterator[psutil.Popen]:
    """A process, with `env` besides, that is ended with the block."""
    cwd.mkdir(exist_ok=True)
    env = {**os.environ, **(env or {})}
    with (cwd / "log").open("ab") as log:
        process = psutil.Popen([*map(str, command)], cwd=cwd, env=env, stdout=log, stderr=log)
    try:
        yield process
    finally:
        if process.is_running():
            process.terminate()
        with suppress(psutil.TimeoutExpired):
            process.wait(20)
        if process.is_running():
            process.kill()
            process.wait()


def free_port() -> int:
    """A port that nobody listens on now."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def answers(port: int) -> bool:
    """Whether somebody listens on the port."""
    with suppress(OSError):
        socket.create_connection(("127.0.0.1", port)).close()
        return True
    return False
