"""Start and stop the servers of a team, and wait until they answer."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any
from xmlrpc.client import Fault, ServerProxy

import psutil

from digits.core.errors import BusyError, ServiceError
from flows.team import configuration, health, prepare, programs, secrets
from flows.team.settings import PORTS, WORKERS, Settings, account

START_S, END_S = 180, 60


class Team:
    """The servers of a team, each started with what it needs."""

    def __init__(self, settings: Settings) -> None:
        """Make the folder, the passwords and the configuration.

        Raises:
            ServiceError: PostgreSQL or nginx is not installed.
        """
        self.settings = settings
        folder = settings.folder
        folder.mkdir(parents=True, exist_ok=True)
        # PostgreSQL's user must reach its own folder
        folder.chmod(0o711 if programs.owner() else 0o700)
        for part in ("secrets", "run", "logs", "s3"):
            (folder / part).mkdir(mode=0o700, exist_ok=True)
        self._passwords = secrets.write_all(settings)
        configuration.write(settings, self._passwords)

    @property
    def env(self) -> dict[str, str]:
        """The variables by which the one who types reaches the servers."""
        return secrets.client(self.settings, self._passwords, account())

    def is_up(self) -> bool:
        """Whether the process that starts the servers runs."""
        with suppress(OSError, Fault):
            self._ask("getState")
            return True
        return False

    def start(self, *names: str) -> None:
        """Start these servers, by default all, and what they need; return when they answer.

        Raises:
            BusyError: a port is taken.
            ServiceError: a server does not start.
        """
        wanted = _with_needs(names or programs.NEEDS)
        if not self.is_up():
            self._start_supervisor()
        self.prepare(*wanted)
        stores = [name for name in wanted if name in ("postgres", "s3")]
        workers = [name for name in wanted if name.endswith(WORKERS)]
        self._start([name for name in wanted if name not in {*stores, *workers}], after=stores)
        if {*workers} & {*WORKERS}:
            prepare.register(self.settings, self.env)
        self._start(workers)

    def prepare(self, *names: str) -> None:
        """Make what these servers and workers need before they start: folder and clones.

        Raises:
            ServiceError: PostgreSQL or git failed.
        """
        if "postgres" in names:
            prepare.make_cluster(self.settings, self._passwords)
        if any(name.endswith(WORKERS) for name in names):
            for worker in WORKERS:
                prepare.make_clone(self.settings, worker)

    def stop(self, *names: str) -> None:
        """Stop these servers, which then stay down."""
        for name in names:
            with suppress(Fault):  # it does not run
                self._ask("stopProcess", name)

    def kill(self, name: str) -> None:
        """Kill a server and its child processes; it is started again at once."""
        os.killpg(self.pid(name), signal.SIGKILL)

    def pid(self, name: str) -> int:
        """The process id of a server, 0 if it does not run."""
        return int(self._ask("getProcessInfo", name)["pid"])

    def answers(self, name: str) -> bool:
        """Whether a server answers a real request."""
        return health.answers(self.settings, self._passwords, name)

    def down(self) -> None:
        """End everything.

        Raises:
            BusyError: it does not end.
        """
        with suppress(OSError, Fault):
            self._ask("shutdown")
        deadline = time.monotonic() + END_S
        while left := self.processes():
            if time.monotonic() > deadline:
                raise BusyError(f"make team-down: process {left[0].pid} does not end")
            if not self.is_up():  # what a killed supervisor, or a flow run, left
                for each in left:
                    with suppress(psutil.NoSuchProcess):
                        each.terminate()
            time.sleep(0.2)

    def processes(self) -> list[psutil.Process]:
        """All processes of the team, and those that they started."""
        found = []
        for each in psutil.process_iter():
            with suppress(psutil.Error):
                if each.status() != psutil.STATUS_ZOMBIE and self._owns(each):
                    found.append(each)
        return found

    def _owns(self, process: psutil.Process) -> bool:
        folder = self.settings.folder
        if process.name() in ("nginx", "postgres"):  # they write their title over the environment
            return Path(process.cwd()).is_relative_to(folder)
        return process.environ().get(programs.MARK) == str(folder)

    def _start_supervisor(self) -> None:
        self.down()  # what it left when it was killed
        for name in PORTS:
            _check_free(self.settings.port(name))
        conf = self.settings.secrets / "supervisor.conf"
        command = [str(Path(sys.executable).with_name("supervisord")), "-c", str(conf)]
        env = {**os.environ, programs.MARK: str(self.settings.folder)}
        # its complaints quote the configuration, passwords included
        subprocess.run(command, env=env, check=True, stdin=subprocess.DEVNULL, capture_output=True)
        self._until_answers("supervisor")

    def _start(self, names: Iterable[str], *, after: Iterable[str] = ()) -> None:
        for group in (after, names):
            for name in group:
                with suppress(Fault):  # it runs
                    self._ask("startProcess", name, False)
            for name in group:
                self._until_answers(name)

    def _until_answers(self, name: str) -> None:
        deadline = time.monotonic() + START_S
        while not (self.is_up() if name == "supervisor" else self.answers(name)):
            if time.monotonic() > deadline:
                log = self.settings.folder / f"logs/{name}.log"
                raise ServiceError(f"{name} does not answer within {START_S} s; see {log}")
            time.sleep(0.2)

    def _ask(self, method: str, *arguments: Any) -> Any:
        from supervisor.xmlrpc import SupervisorTransport  # type: ignore[import-untyped]

        transport = SupervisorTransport(serverurl=f"unix://{self.settings.supervisor}")
        with ServerProxy("http://127.0.0.1", transport=transport) as server:
            return getattr(server.supervisor, method)(*arguments)


def _with_needs(names: Iterable[str]) -> list[str]:
    """These servers and all that they need, in the order in which they start."""
    wanted = {*names}
    for name in reversed([*programs.NEEDS]):
        wanted |= {*programs.NEEDS[name]} if name in wanted else set()
    return [name for name in programs.NEEDS if name in wanted]


def _check_free(port: int) -> None:
    try:
        socket.create_server(("127.0.0.1", port)).close()
    except OSError:
        raise BusyError(f"port {port} is taken; choose with make team TEAM_PORT=…") from None
