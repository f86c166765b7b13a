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
from urllib.request import Request, urlopen

import psutil
import pytest
import yaml
from mlflow import MlflowClient
from services import free_port
from support import REPOSITORY, until

from digits.tracking.store import EXPERIMENT

pytestmark = pytest.mark.slow

PORTS = ("MLFLOW_PORT", "PREFECT_PORT", "PAGES_PORT")


class Clone:
    """A clone with ports of its own, in which the environment is that of the tests."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.ports = {name: free_port() for name in PORTS}
        subprocess.run(["git", "clone", "--quiet", REPOSITORY, root], check=True)
        (root / ".venv").mkdir()
        (root / ".venv" / ".done").touch()

    def make(self, target: str) -> subprocess.CompletedProcess[str]:
        """Run `make TARGET` to its end."""
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("PREFECT_", "MLFLOW_"))}
        environment = {
            **kept,
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
            "PYTHONPATH": str(self.root / "src"),
            "PREFECT_HOME": str(self.root.parent / "prefect"),
        }
        command = ["make", target, *(f"{name}={port}" for name, port in self.ports.items())]
        return subprocess.run(
            command, cwd=self.root, env=environment, capture_output=True, text=True, check=False
        )

    def prefect(self, path: str) -> Any:
        """All that Prefect's server has at a path."""
        address = f"http://127.0.0.1:{self.ports['PREFECT_PORT']}/api/{path}/filter"
        request = Request(address, b"{}", {"Content-Type": "application/json"})
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
    fresh.make("down")


def test_up_starts_everything_and_down_leaves_nothing(clone: Clone) -> None:
    up = clone.make("up")
    assert up.returncode == 0, up.stdout + up.stderr
    mlflow = f"http://127.0.0.1:{clone.ports['MLFLOW_PORT']}"
    [shown] = re.findall(rf"{mlflow}/#/experiments/(\d+)/runs", up.stdout)
    assert MlflowClient(mlflow).get_experiment(shown).name == EXPERIMENT
    with urlopen(f"{mlflow}/health", timeout=30) as answer:
        assert answer.read() == b"OK"
    declared = yaml.safe_load((clone.root / "prefect.yaml").read_text("utf-8"))["deployments"]
    served = {deployment["entrypoint"] for deployment in clone.prefect("deployments")}
    assert served == {deployment["entrypoint"] for deployment in declared}
    assert until(lambda: len(clone.prefect("work_pools/local/workers")) == 1, seconds=60)

    again = clone.make("up")
    assert again.returncode != 0
    assert "error: already up; see make down" in again.stderr

    assert clone.make("down").returncode == 0
    assert until(lambda: clone.processes() == [])


def test_a_port_that_is_taken_is_told_before_anything_starts(clone: Clone) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", clone.ports["PREFECT_PORT"]))
        taken.listen()
        up = clone.make("up")
    assert up.returncode != 0
    assert f"error: port {clone.ports['PREFECT_PORT']} is taken; choose with make up" in up.stderr
    assert clone.processes() == []
