"""Whose requests our servers answer, and which files the pages' server gives out."""

import os
from contextlib import contextmanager
from http.client import HTTPConnection

import pytest
from helpers import served
from mlflow.server import security_utils as check
from starlette.responses import PlainTextResponse
from starlette.websockets import WebSocket
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from imageproof.system import guard


async def answering(scope, receive, send):
    """An app that answers everything."""
    if scope["type"] == "websocket":
        await WebSocket(scope, receive, send).accept()
        return
    await PlainTextResponse("answered")(scope, receive, send)


@pytest.fixture(scope="module")
def port():
    """Where that app is served behind the guard."""
    with served(guard.Guard(answering)) as port:
        yield port


@contextmanager
def answer(port, path="/", **headers):
    """The answer to a POST, or to a GET for a file."""
    connection = HTTPConnection("127.0.0.1", port, timeout=30)
    connection.request("POST" if path == "/" else "GET", path, headers=headers)
    with connection.getresponse() as response:
        yield response
    connection.close()


def test_own_host_and_origin_are_answered(port):
    for host in (f"127.0.0.1:{port}", f"[::1]:{port}", "LOCALHOST", f"imageproof.localhost:{port}"):
        with answer(port, Host=host) as response:
            assert (response.status, response.read()) == (200, b"answered")
            assert response.headers["X-Frame-Options"] == "SAMEORIGIN"
    for page in (f"http://localhost:{port}", f"https://[::1]:{port}"):
        with answer(port, Origin=page) as response:
            assert response.status == 200
        with connect(f"ws://127.0.0.1:{port}", additional_headers={"Origin": page}):
            pass


def test_foreign_host_or_origin_is_refused(port):
    for host in ("evil.example:{}", "evil.localhost", "127.0.0.1.evil.example", "", "[::"):
        with answer(port, Host=host.format(port)) as response:
            assert response.status == 403, host
    for page in (f"http://evil.example:{port}", "http://127.0.0.1:1", "null", "http://["):
        with answer(port, Origin=page) as response:
            assert response.status == 403, page
        with pytest.raises(InvalidStatus, match="403"):
            connect(f"ws://127.0.0.1:{port}", additional_headers={"Origin": page})


def test_allowed_hosts(monkeypatch):
    monkeypatch.setenv("IMAGEPROOF_ALLOWED_HOSTS", "mlflow.example, Prefect.example")
    page = {"Host": "prefect.example", "Origin": "https://prefect.example"}
    with served(guard.Guard(answering)) as port, answer(port, **page) as response:
        assert response.status == 200


def test_mlflow_itself_allows_only_these_names(monkeypatch):
    monkeypatch.setattr(os, "environ", {**os.environ, "IMAGEPROOF_ALLOWED_HOSTS": "mlflow.example"})
    guard.mlflow()
    hosts = check.get_allowed_hosts_from_env()
    origins = check.get_allowed_origins_from_env()
    for host in ("[::1]:5000", "imageproof.localhost:5000", "mlflow.example", "evil.example:5000"):
        foreign = host.startswith("evil")
        assert check.is_allowed_host_header(hosts, host) != foreign
        assert check.should_block_cors_request(f"https://{host}", "POST", origins) == foreign


@pytest.fixture
def pages(workspace):
    """The port of the pages' server, in a folder with a page and links that lead out of it."""
    report = workspace / "artifacts/report"
    report.mkdir(parents=True)
    (report / "index.html").write_text("report")
    (workspace / "secret").write_text("secret")
    (report / "link").symlink_to(workspace / "secret")
    (report / "folder").symlink_to(workspace)
    with served(guard.pages()) as port:
        yield port


def test_pages(pages):
    with answer(pages, "/report/index.html") as response:
        assert (response.status, response.read()) == (200, b"report")
    out = ("/report/link", "/report/folder/secret", "/../secret", "/%2e%2e/secret")
    for path in ("/report/", *out):
        with answer(pages, path) as response:
            assert (response.status, response.read()) == (404, b"Not Found"), path
