"""Processes that a test starts and kills: servers, and a Dask cluster with its trials."""

import os
import socket
import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

import psutil
from support import until


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


class Cluster(NamedTuple):
    """A Dask scheduler and workers, each in a folder of its own."""

    address: str
    scheduler: psutil.Popen
    workers: list[psutil.Popen]


def trials_of(process: psutil.Popen) -> list[psutil.Process]:
    """The trials that a process runs."""
    with suppress(psutil.NoSuchProcess):
        return [
            child
            for child in process.children(recursive=True)
            if "digits.sweep.trial" in child.cmdline()
        ]
    return []


@contextmanager
def killed_in_a_trial(
    victim: psutil.Popen, worker: psutil.Popen, *, after: Callable[[], bool] = lambda: True
) -> Iterator[None]:
    """Meanwhile the victim is killed when the worker starts a trial, `after` this came true."""

    over = threading.Event()

    def kill() -> None:
        assert until(lambda: over.is_set() or after(), seconds=240)
        earlier = set(trials_of(worker))
        assert until(lambda: over.is_set() or bool({*trials_of(worker)} - earlier), seconds=240)
        assert not over.is_set()
        victim.kill()

    with ThreadPoolExecutor(1) as pool:
        killed = pool.submit(kill)
        try:
            yield
        finally:
            over.set()
        killed.result()
