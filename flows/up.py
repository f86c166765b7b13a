"""`make up` and `make down`: the Procfile in the background, with the deployments registered."""

import os
import signal
import socket
import subprocess
import sys
import time
from contextlib import redirect_stdout, suppress
from pathlib import Path

import requests
from filelock import FileLock, Timeout

from digits.core import process
from digits.core.errors import BusyError, DigitsError, ServiceError, UsageError
from digits.params import project

STATE = Path(".state")
PID, LOG = STATE / "up.pid", STATE / "up.log"
LOCK = STATE / "up.lock"  # held by the background process as long as it lives
PORTS = {"MLFLOW_PORT": 5000, "PREFECT_PORT": 4200, "PAGES_PORT": 4280}
START_S, END_S = 180, 60


def start() -> None:
    """Start everything and print where it is; after an error nothing is left running.

    Raises:
        UsageError: a port is no number from 1 to 65535.
        BusyError: everything is up already, or a port is taken.
        ServiceError: the Prefect server did not start, or did not take the deployments.
    """
    for folder in (".state", ".prefect", "artifacts"):
        Path(folder).mkdir(exist_ok=True)
    if _is_up():
        raise BusyError("already up; see make down")
    addresses = {name: f"http://127.0.0.1:{_free_port(name)}" for name in PORTS}
    mlflow, prefect, pages = addresses.values()
    name, api = project().name, f"{prefect}/api"
    os.environ |= {name: address.rpartition(":")[2] for name, address in addresses.items()}
    os.environ |= {"DIGITS_MLFLOW_UI": mlflow, "DIGITS_PAGES": pages}
    os.environ |= {"PREFECT_API_URL": api, "PROJECT": name}  # for the Procfile
    env = dict(os.environ)  # before MLflow puts an address into it
    page = _prepare_store(env["MLFLOW_PORT"])
    PID.unlink(missing_ok=True)  # of a process that was killed
    background = _start_background(env)
    try:
        _wait_for(f"{api}/health", background)
        _register_deployments()
        _prefect_config("set", f"PREFECT_API_URL={api}")
    except BaseException:
        background.terminate()
        background.wait(END_S)
        PID.unlink(missing_ok=True)
        raise
    print(f"MLflow   {page}")
    print(f"Prefect  {prefect}   prefect deployment run train/{name} --watch")


def stop() -> None:
    """End what `start` started, and wait until it has ended.

    Raises:
        BusyError: it does not end.
    """
    if not _is_up():
        print("nothing is up")
    deadline = time.monotonic() + END_S
    while _is_up():
        if time.monotonic() > deadline:
            raise BusyError(f"{LOCK}: what make up started does not end; see {LOG}")
        with suppress(FileNotFoundError, ProcessLookupError, ValueError):  # not yet written whole
            os.kill(int(PID.read_text()), signal.SIGTERM)
        time.sleep(0.2)
    PID.unlink(missing_ok=True)
    _prefect_config("unset", "-y", "PREFECT_API_URL")


def run() -> None:
    """Run the Procfile until SIGTERM: the background process."""
    from honcho.command import main  # type: ignore[import-untyped]

    with FileLock(LOCK, timeout=5):
        PID.write_text(str(os.getpid()))
        main(["start"])


def _is_up() -> bool:
    STATE.mkdir(exist_ok=True)
    try:
        with FileLock(LOCK, timeout=0):
            return False
    except Timeout:
        return True


def _free_port(name: str) -> str:
    port = os.environ.get(name) or str(PORTS[name])
    if not port.isdecimal() or not 0 < int(port) < 2**16:
        raise UsageError(f"{name}: {port!r} is no port; 1 to 65535 is allowed")
    try:
        socket.create_server(("127.0.0.1", int(port))).close()
    except OSError:
        others = " ".join(f"{each}=…" for each in PORTS)
        raise BusyError(f"port {port} is taken; choose with make up {others}") from None
    return port


def _prepare_store(port: str) -> str:
    """Log what the store lacks; return the address of the experiment's page.

    Before the servers start: two processes that create the tracking store at once spoil it.
    """
    from digits.tracking import page, restore

    restore.restore_all()
    os.environ["MLFLOW_TRACKING_URI"] = ""  # the page shows the file here, wherever runs are logged
    return page.address(port)


def _start_background(env: dict[str, str]) -> "subprocess.Popen[bytes]":
    command = [sys.executable, "-m", "flows.up", "run"]
    with LOG.open("wb") as log:
        return subprocess.Popen(
            command,
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,  # Ctrl-C is for this process, which then ends that one
        )


def _wait_for(address: str, background: "subprocess.Popen[bytes]") -> None:
    deadline = time.monotonic() + START_S
    while background.poll() is None and time.monotonic() < deadline:
        with suppress(requests.RequestException):
            if requests.get(address, timeout=5).ok:
                return
        time.sleep(0.5)
    raise ServiceError(f"the Prefect server did not start; see {LOG}")


def _register_deployments() -> None:
    from flows.deploy import register  # after PREFECT_API_URL was set: Prefect reads it at import

    try:
        with LOG.open("a", encoding="utf-8") as log, redirect_stdout(log):
            register()
    except DigitsError as error:
        raise ServiceError(f"the deployments were not registered: {error}; see {LOG}") from None


def _prefect_config(*arguments: str) -> None:
    """In the project's own profile; unset fails where nothing was set."""
    subprocess.run(["prefect", "config", *arguments], capture_output=True, check=False)


if __name__ == "__main__":
    process.run_program({"start": start, "stop": stop, "run": run}[sys.argv[1]])
