"""Servers that a test starts and ends."""

import os
import sys
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil
from helpers import answers, free_port, until


@contextmanager
def running(*command, cwd, env=None):
    """A process, with `env` besides, that is ended with the block."""
    cwd.mkdir(exist_ok=True)
    env = {**os.environ, **(env or {})}
    with cwd.resolve().with_suffix(".log").open("ab") as log:
        process = psutil.Popen([*map(str, command)], cwd=cwd, env=env, stdout=log, stderr=log)
    try:
        yield process
    finally:
        with suppress(psutil.NoSuchProcess):
            process.terminate()
            with suppress(psutil.TimeoutExpired):
                process.wait(20)
            process.kill()
            process.wait()


@contextmanager
def dask(scheduler, worker):
    """The address of a Dask scheduler, and a worker, each in its folder."""
    from distributed import Client

    program = Path(sys.executable).with_name("dask")
    port = free_port()
    address = f"tcp://127.0.0.1:{port}"
    options = ("--host", "127.0.0.1", "--no-dashboard")
    serving = (program, "scheduler", "--port", port, *options)
    working = (program, "worker", address, "--nthreads", 1, "--no-nanny", *options)
    with running(*serving, cwd=scheduler):
        assert until(lambda: answers(port), seconds=120)
        with running(*working, cwd=worker):
            with Client(address, set_as_default=False) as client:
                client.wait_for_workers(1, timeout=120)
            yield address
