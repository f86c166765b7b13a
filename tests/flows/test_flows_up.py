"""`make up` and `make down`, as a person types them in a clone."""

import json
import os
import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import psutil
import pytest
from mlflow import MlflowClient
from support import PARAMS, REPOSITORY, free_port, link_environment, until

pytestmark = pytest.mark.slow

PORTS = ("MLFLOW_PORT", "PREFECT_PORT", "PAGES_PORT")


class Clone:
    """A clone with ports of its own, in which the environment is that of the tests."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.ports = {name: free_port() for name in PORTS}
        subprocess.run(["git", "clone", "--quiet", REPOSITORY, root], check=True)
        link_environment(root)

    def make(self, target: str) -> subprocess.CompletedProcess[str]:
        """Run `make TARGET` to its end."""
        return self.run("make", target, *(f"{name}={port}" for name, port in self.ports.items()))

    def run(self, *command: str) -> subprocess.CompletedProcess[str]:
        """Run a command to its end."""
        ours = ("PREFECT_", "MLFLOW_", "MAKE")  # a make that runs the tests must not be seen
        env = {k: v for k, v in os.environ.items() if not k.startswith(ours)}
        env["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{env['PATH']}"
        env["PYTHONPATH"] = f"{self.root / 'src'}{os.pathsep}{self.root}"
        return subprocess.run(
            command, cwd=self.root, env=env, capture_output=True, text=True, check=False
        )

    def prefect(self, path: str) -> Any:
        """All that Prefect's server has at a path."""
        return self.ask("PREFECT_PORT", f"/api/{path}/filter", data=b"{}")

    def ask(self, name: str, path: str = "/", *, data: bytes | None = None, **headers: str) -> Any:
        """The answer of a server."""
        address = f"http://127.0.0.1:{self.ports[name]}{path}"
        request = Request(address, data, {"Content-Type": "application/json", **headers})
        with urlopen(request, timeout=30) as answer:
            return json.load(answer)

    def processes(self) -> list[str]:
        """The commands that run in the clone."""
        found = []
        for process in psutil.process_iter():
            with suppress(psutil.Error):
                if Path(process.cwd()).is_relative_to(self.root):
                    found.append(" ".join(process.cmdline()))
        return found


@pytest.fixture
def clone(tmp_path: Path) -> Iterator[Clone]:
    """A fresh clone, in which nothing is left running."""
    fresh = Clone(tmp_path / "digits")
    yield fresh
    if fresh.processes():
        fresh.make("down")


def test_up_and_down(clone: Clone) -> None:
    up = clone.make("up")
    assert up.returncode == 0, up.stdout + up.stderr
    lines = up.stdout.splitlines()
    assert lines[0].startswith("starting, ")
    answering = {f"127.0.0.1:{port}" for port in clone.ports.values()}
    assert {line.split()[-1] for line in lines} >= answering
    [shown] = re.findall(r"http://\S+/#/experiments/(\d+)/runs", up.stdout)
    mlflow = MlflowClient(f"http://127.0.0.1:{clone.ports['MLFLOW_PORT']}")
    assert mlflow.get_experiment(shown).name == PARAMS["project"]["name"]
    deployments = {deployment["name"] for deployment in clone.prefect("deployments")}
    flows = ("train", "nightly", "sweep", "promote", "score", "monitor", "retrain")
    assert deployments == {f"digits-{name}" for name in flows}
    assert "prefect deployment run train/digits-train --watch" in lines
    assert until(lambda: len(clone.prefect("work_pools/digits/workers")) == 1, seconds=180)
    for name in PORTS:  # a web page that the browser shows is not let in
        for header in ({"Host": "evil.example"}, {"Origin": "http://evil.example"}):
            with pytest.raises(HTTPError, match="403"):
                clone.ask(name, **header)

    page = (REPOSITORY / "docs/how-to/schedules.md").read_text("utf-8")
    [notify] = re.findall(r"```sh\n(block=.*?)```", page, re.DOTALL)
    done = clone.run("bash", "-euc", notify)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "digits-failed" in {automation["name"] for automation in clone.prefect("automations")}

    again = clone.make("up")
    assert "error: already up; see make down" in again.stderr

    down = clone.make("down")
    assert (down.returncode, down.stdout) == (0, "")
    assert until(lambda: clone.processes() == [])
    assert clone.make("down").stdout == "nothing is up\n"


def test_up_with_taken_port(clone: Clone) -> None:
    with socket.create_server(("127.0.0.1", clone.ports["PREFECT_PORT"])):
        up = clone.make("up")
    taken = f"error: port {clone.ports['PREFECT_PORT']} is taken; choose another with make up"
    assert taken in up.stderr
    clone.ports["PREFECT_PORT"] = 0
    assert "error: PREFECT_PORT: '0' is no port" in clone.make("up").stderr
    assert clone.processes() == []
