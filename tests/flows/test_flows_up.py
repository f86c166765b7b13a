"""`make up` and `make down`, as a person types them in a clone."""

import re
import socket
import subprocess
from contextlib import suppress
from pathlib import Path

import psutil
import pytest
import requests
from clones import Clone
from helpers import free_port, until
from intruder import foreign, statuses
from mlflow import MlflowClient
from support import PARAMS, REPOSITORY, link_environment, quoted

pytestmark = pytest.mark.slow

PORTS = ("MLFLOW_PORT", "PREFECT_PORT", "PAGES_PORT")


class Up(Clone):
    """A clone with ports of its own, in which the environment is that of the tests."""

    def __init__(self, root):
        self.ports = {name: free_port() for name in PORTS}
        subprocess.run(["git", "clone", "--quiet", REPOSITORY, root], check=True)
        link_environment(root)
        super().__init__(root)

    def make(self, target, *, succeeds=True):
        """Run `make TARGET` to its end."""
        ports = (f"{name}={port}" for name, port in self.ports.items())
        return self.run("make", target, *ports, succeeds=succeeds)

    def prefect(self, path):
        """All that Prefect's server has at a path."""
        address = f"http://127.0.0.1:{self.ports['PREFECT_PORT']}/api/{path}/filter"
        return requests.post(address, json={}, timeout=30).json()

    def processes(self):
        """The commands that run in the clone."""
        commands = []
        for process in psutil.process_iter():
            with suppress(psutil.Error):
                if Path(process.cwd()).is_relative_to(self.root):
                    commands.append(" ".join(process.cmdline()))
        return commands


@pytest.fixture
def clone(tmp_path):
    """A fresh clone, in which nothing is left running."""
    fresh = Up(tmp_path / "digits")
    yield fresh
    if fresh.processes():
        fresh.make("down")


def test_up_and_down(clone):
    port = clone.ports["PREFECT_PORT"]
    taken = f"port {port} is taken; choose another with make up"
    with socket.create_server(("127.0.0.1", port)):
        for number, error in ((0, "PREFECT_PORT: '0' is no port"), (port, taken)):
            clone.ports["PREFECT_PORT"] = number
            assert f"error: {error}" in clone.make("up", succeeds=False).stderr
    assert clone.processes() == []

    up = clone.make("up")
    lines = up.stdout.splitlines()
    assert lines[0].startswith("starting, ")
    answering = {f"127.0.0.1:{port}" for port in clone.ports.values()}
    assert {line.split()[-1] for line in lines} >= answering
    [experiment_id] = re.findall(r"http://\S+/#/experiments/(\d+)/runs", up.stdout)
    mlflow = MlflowClient(f"http://127.0.0.1:{clone.ports['MLFLOW_PORT']}")
    assert mlflow.get_experiment(experiment_id).name == PARAMS["project"]["name"]
    deployments = {deployment["name"] for deployment in clone.prefect("deployments")}
    flows = ("train", "nightly", "sweep", "promote", "score", "monitor", "retrain")
    assert deployments == {f"digits-{name}" for name in flows}
    assert "prefect deployment run train/digits-train --watch" in lines
    assert until(lambda: len(clone.prefect("work_pools/digits/workers")) == 1, seconds=180)
    for port in clone.ports.values():  # a web page that the browser shows is not let in
        for headers in foreign(port):
            assert statuses(port, [("GET", "/")], **headers).keys() == {403}

    clone.run("bash", "-euc", quoted("schedules.md", r"```sh\n(block=.*?)```"))
    assert "digits-failed" in {automation["name"] for automation in clone.prefect("automations")}

    assert "error: already up; see make down" in clone.make("up", succeeds=False).stderr

    assert clone.make("down").stdout == ""
    assert until(lambda: clone.processes() == [])
    assert clone.make("down").stdout == "nothing is up\n"
