"""Events reach the Prefect server that is configured, and no command waits long for it."""

import json
import socket
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from digits.core import events

PROFILE = """\
active = "ephemeral"
[profiles.ephemeral]
PREFECT_SERVER_EPHEMERAL_ENABLED = "true"
{}"""


class Server(ThreadingHTTPServer):
    """Records the requests to a Prefect server and their authorization."""

    status = 204

    def __init__(self) -> None:
        self.requests: list[tuple[str, str | None]] = []
        self.events: list[dict[str, Any]] = []
        super().__init__(("127.0.0.1", 0), Handler)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/api"


class Handler(BaseHTTPRequestHandler):
    """One request."""

    server: Server

    def do_POST(self) -> None:
        self.server.requests.append((self.path, self.headers["Authorization"]))
        self.server.events += json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.send_response(self.server.status)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def server(workspace: Path) -> Iterator[Server]:
    """A server that nobody has configured yet."""
    with Server() as listening:
        thread = Thread(target=listening.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield listening
        listening.shutdown()
        thread.join()


def write_profile(*lines: str) -> None:
    """What `prefect config set` leaves in this project."""
    events.PROFILES.parent.mkdir()
    events.PROFILES.write_text(PROFILE.format("\n".join(lines)), encoding="utf-8")


def emit() -> None:
    events.emit("digits.promote", {"prefect.resource.id": "digits.champion"}, {"after": "2"})


def test_an_event_goes_where_the_environment_says(
    server: Server, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    write_profile('PREFECT_API_URL = "http://127.0.0.1:9/api"')
    monkeypatch.setenv("PREFECT_API_URL", server.url)
    monkeypatch.setenv("PREFECT_API_KEY", "k")
    emit()
    assert server.requests == [("/api/events", "Bearer k")]
    [event] = server.events
    assert (event["event"], event["payload"]) == ("digits.promote", {"after": "2"})
    assert capsys.readouterr() == ("", "")


def test_an_event_goes_where_the_profile_says(server: Server) -> None:
    write_profile(f'PREFECT_API_URL = "{server.url}/"', 'PREFECT_API_AUTH_STRING = "me:secret"')
    emit()
    assert server.requests == [("/api/events", "Basic bWU6c2VjcmV0")]


@pytest.mark.parametrize("profile", [True, False])
def test_without_a_configured_server_nothing_happens(
    server: Server, profile: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    if profile:
        write_profile()
    emit()
    assert server.requests == []
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize("fault", ["refuses", "is silent", "fails"])
def test_a_server_that_does_not_take_an_event_costs_one_warning(
    server: Server,
    fault: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(events, "TIMEOUT_S", (0.3, 0.3))
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        if fault == "is silent":
            silent.listen()
        server.status = 503
        port = server.server_port if fault == "fails" else silent.getsockname()[1]
        monkeypatch.setenv("PREFECT_API_URL", f"http://me:secret@127.0.0.1:{port}/api")
        emit()
    found = "answered 503" if fault == "fails" else "no answer"
    assert capsys.readouterr().err == (
        f"warning: Prefect at http://127.0.0.1:{port}/api: {found};"
        " the event digits.promote waits for the next one (PREFECT_API_URL says which server is"
        " asked)\n"
    )


def test_an_event_that_a_server_did_not_take_arrives_before_the_next_and_once(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PREFECT_API_URL", server.url)
    server.status = 503
    for version in ("1", "2"):
        events.emit("digits.promote", {"prefect.resource.id": "champion"}, {"after": version})
    refused, again = server.events
    assert refused == again
    server.events.clear()
    server.status = 204
    for _ in range(2):
        events.emit("digits.rollback", {"prefect.resource.id": "champion"}, {"after": "3"})
    got = [(each["event"], each["payload"]["after"]) for each in server.events]
    assert got == [
        ("digits.promote", "1"),
        ("digits.promote", "2"),
        *[("digits.rollback", "3")] * 2,
    ]
    assert server.events[0] == refused


def test_an_event_that_prefect_cannot_read_is_named_and_stops_no_other(
    server: Server, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PREFECT_API_URL", server.url)
    server.status = 422
    emit()
    assert capsys.readouterr().err.startswith("warning: Prefect cannot read the event ")
    server.status = 204
    emit()
    assert len(server.events) == 2  # the first was not sent again
    assert list(events.FOLDER.glob("*.json")) == []


def test_of_events_that_wait_the_oldest_are_dropped(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(events, "MOST", 2)
    monkeypatch.setenv("PREFECT_API_URL", server.url)
    server.status = 503
    for version in range(4):
        events.emit("digits.promote", {"prefect.resource.id": "champion"}, {"after": version})
    assert len(list(events.FOLDER.glob("*.json"))) == 2
