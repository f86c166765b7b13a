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
from filelock import FileLock
from intruder import attack, foreign, statuses
from mlflow import MlflowClient
from playwright.sync_api import Browser
from services import free_port
from support import PARAMS, REPOSITORY, finding, link_environment, until, write_params

from digits.core.errors import BusyError, ServiceError
from flows import up

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

    def prefect(self, path: str, **only: Any) -> Any:
        """All that Prefect's server has at a path, or only so much of it."""
        address = f"http://127.0.0.1:{self.ports['PREFECT_PORT']}/api/{path}/filter"
        request = Request(address, json.dumps(only).encode(), {"Content-Type": "application/json"})
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


EVENT = {
    "event": "evil",
    "resource": {"prefect.resource.id": "evil"},
    "occurred": "2026-01-01T00:00:00Z",
    "id": "6f1f1f6e-8f4e-4f43-8f1c-000000000001",
}
# What changes something on a server: bodies of POST, and a message to a WebSocket.
POSTS = {
    "PREFECT_PORT": [["/api/variables/", '{"name":"evil","value":1}']],
    "MLFLOW_PORT": [["/ajax-api/2.0/mlflow/experiments/create", '{"name":"evil"}']],
    "PAGES_PORT": [["/", "{}"]],
}
SOCKETS = {"PREFECT_PORT": [["/api/events/in", json.dumps(EVENT)]]}


def routes(clone: Clone, name: str) -> list[tuple[str, str]]:
    """Every route of a server, as method and path."""
    if name == "PREFECT_PORT":
        with urlopen(f"http://127.0.0.1:{clone.ports[name]}/openapi.json", timeout=30) as answer:
            paths = json.load(answer)["paths"]
        return [(way.upper(), f"/api{path}") for path, ways in paths.items() for way in ways]
    if name == "MLFLOW_PORT":
        from mlflow.server import app

        rules = app.url_map.iter_rules()
        return [("POST", "/v1/traces"), *((m, r.rule) for r in rules for m in r.methods or ())]
    return [("GET", "/"), ("POST", "/")]


def changes(clone: Clone) -> tuple[Any, ...]:
    """How much there is of what an attack would add to."""
    mlflow = MlflowClient(f"http://127.0.0.1:{clone.ports['MLFLOW_PORT']}")
    events = clone.prefect("events", filter={"event": {"name": ["evil"]}})
    variables = [variable["name"] for variable in clone.prefect("variables")]
    return variables, events["total"], [found.name for found in mlflow.search_experiments()]


def no_other_page_changes_anything(clone: Clone, browser: Browser) -> None:
    before = changes(clone)
    for name, port in clone.ports.items():
        every = routes(clone, name)
        for headers in foreign(port):
            assert statuses(port, every[:1], **headers).keys() == {403}
        by_host, by_origin = foreign(port)[0], foreign(port)[-1]
        assert statuses(port, every, **by_host).keys() == {403}
        assert statuses(port, every, **by_origin).keys() == {403}
        assert attack(browser, port, POSTS[name], SOCKETS.get(name, [])) == set()
    assert changes(clone) == before


def prefects_own_page_changes_what_it_may(clone: Clone, browser: Browser) -> None:
    page = browser.new_page()
    page.goto(f"http://localhost:{clone.ports['PREFECT_PORT']}/variables")
    page.get_by_role("button", name="Add Variable").click(timeout=60_000)
    page.locator("form input").fill("own")
    page.locator("form textarea").fill("1")
    page.locator(".p-modal").get_by_role("button", name="Create").click()
    page.get_by_text("own", exact=True).first.wait_for()
    assert [variable["name"] for variable in clone.prefect("variables")] == ["own"]


def test_up_starts_everything_for_its_own_pages_and_down_leaves_nothing(
    clone: Clone, browser: Browser
) -> None:
    up = clone.make("up")
    assert up.returncode == 0, up.stdout + up.stderr
    mlflow = f"http://127.0.0.1:{clone.ports['MLFLOW_PORT']}"
    [shown] = re.findall(r"MLflow   http://\S+/#/experiments/(\d+)/runs", up.stdout)
    assert MlflowClient(mlflow).get_experiment(shown).name == PARAMS["project"]["name"]
    with urlopen(f"{mlflow}/health", timeout=30) as answer:
        assert answer.read() == b"OK"
    assert len(clone.prefect("deployments")) == 7
    assert until(lambda: len(clone.prefect("work_pools/digits/workers")) == 1, seconds=60)

    no_other_page_changes_anything(clone, browser)
    prefects_own_page_changes_what_it_may(clone, browser)

    again = clone.make("up")
    assert again.returncode != 0
    assert "error: already up; see make down" in again.stderr

    assert clone.make("down").returncode == 0
    assert until(lambda: clone.processes() == [])


def test_down_waits_while_the_background_process_has_not_written_its_number(
    workspace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(up, "END_S", 0.5)
    up.STATE.mkdir()
    up.PID.touch()
    with FileLock(up.LOCK):
        assert "does not end" in finding(BusyError, up.stop)


def test_a_number_that_a_killed_process_left_is_not_used(
    workspace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[bool] = []

    def start_background(_: object) -> None:
        seen.append(up.PID.exists())
        raise ServiceError("not started")

    for name, port in zip(PORTS, (free_port(), free_port(), free_port()), strict=True):
        monkeypatch.setenv(name, str(port))
    for name in ("DIGITS_MLFLOW_UI", "DIGITS_PAGES", "PREFECT_API_URL", "PROJECT"):
        monkeypatch.setenv(name, "")  # which start sets
    monkeypatch.setattr(up, "_start_background", start_background)
    monkeypatch.setattr(up, "_prepare_store", lambda _: "")
    write_params({})
    up.STATE.mkdir()
    up.PID.write_text("1")
    finding(ServiceError, up.start)
    assert seen == [False]


def test_a_port_that_is_taken_is_told_before_anything_starts(clone: Clone) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", clone.ports["PREFECT_PORT"]))
        taken.listen()
        up = clone.make("up")
    assert up.returncode != 0
    assert f"error: port {clone.ports['PREFECT_PORT']} is taken; choose with make up" in up.stderr
    assert clone.processes() == []
