"""Whatever is sent to a package's server: a sentence, no traceback, and the next is answered."""

import json
import socket
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import numpy as np
import psutil
import pytest
import requests
from helpers import finding
from intruder import statuses
from packaged import JSON, RAW

from imageproof.base.errors import BusyError, UsageError
from imageproof.serve import _command
from imageproof.serve._protocol import MAX_CONNECTIONS
from imageproof.system.guard import listen

ZERO = np.zeros((1, 8, 8), np.uint8)
HEAD = b"POST /predict HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
LAST = b"GET /health HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n"


@pytest.fixture(autouse=True)
def _answers_after_each_test(server):
    yield
    assert len(server.predict(ZERO)) == 1


@pytest.mark.parametrize(
    ("kind", "body", "status", "text"),
    [
        ("text/plain", b"x", 415, "Content-Type: 'text/plain'; allowed are application/json, "),
        (JSON, b"{", 400, "not JSON: "),
        (JSON, json.dumps({"inputs": ZERO.tolist() * 1001}), 413, "1,001 images; at most 1,000 "),
        (RAW, b"x" * 65, 422, "65 bytes; 64 are needed for each image"),
        ("image/png", b"no", 422, "no PNG, JPEG, WebP or BMP"),
        (JSON, (b"x" * 100_000 for _ in range(500)), 413, "over 5,000,000 bytes long"),
    ],
)
def test_bad_body_is_told(server, kind, body, status, text):
    response = server.post("/predict", body, kind)
    assert response.status_code == status
    assert response.json().keys() == {"error"}
    assert response.json()["error"].startswith(text)
    assert "\n" not in response.json()["error"]


def test_head_is_answered_where_get_is(server):
    assert requests.head(f"{server.address}/health", timeout=20).status_code == 200


def connect(server):
    return socket.create_connection(("127.0.0.1", server.port), timeout=60)


def exchange(server, *parts, pause=0.5, half_closed=False):
    """What comes back, until the server closes, for bytes sent with pauses in between."""
    with connect(server) as connection:
        try:
            for part in parts:
                connection.sendall(part)
                time.sleep(pause if len(parts) > 1 else 0)
            if half_closed:
                connection.shutdown(socket.SHUT_WR)
            return b"".join(iter(lambda: connection.recv(65536), b""))
        except ConnectionError:  # sent on after the server had given up
            return b"closed"


@pytest.mark.parametrize(
    ("start", "part"),
    [
        (b"GET / HTTP/1.1\r\nX: ", b"a" * 40_000),
        (
            HEAD + b"Transfer-Encoding: chunked\r\n\r\n1\r\n[\r\n0\r\nY: ",
            b"X: " + b"a" * 40_000 + b"\r\n",
        ),
    ],
)
def test_endless_headers_are_refused(server, start, part):
    answer = exchange(server, start, *[part] * 4, pause=0.1)
    assert b"Over 32,000 bytes of headers." in answer or answer == b"closed"


def raw(count):
    """A request with so many images."""
    size = b"Content-Length: %d\r\n\r\n" % (count * 64)
    return HEAD.replace(b"json", b"octet-stream") + size + bytes(count * 64)


CHUNKED = b"Transfer-Encoding: chunked\r\n\r\n40\r\n" + bytes(64) + b"\r\n0\r\n\r\n"


@pytest.mark.parametrize(
    "content",
    [
        raw(1).replace(
            b"Content-L", b"Content-Encoding: identity\r\nContent-Encoding: gzip\r\nContent-L"
        ),
        raw(1).partition(b"Content-Length")[0] + CHUNKED.replace(b"chunked", b"gzip, chunked"),
    ],
)
def test_packed_bytes_are_no_pixels(server, content):
    answer = exchange(server, content + LAST)
    assert answer.startswith(b"HTTP/1.1 415 ")
    assert answer.count(b"HTTP/1.1 200 OK") == 1


def test_pipelining_client_that_reads_nothing_fills_no_memory(server):
    process = psutil.Process(server.process.pid)
    memory = process.memory_info().rss
    with connect(server) as client:
        client.settimeout(2)
        with pytest.raises(TimeoutError):  # the server takes no more
            client.sendall(raw(1) * 150_000)
        assert server.get("/health").status_code == 200
        assert process.memory_info().rss < 2 * memory


def test_too_many_connections(server):
    with ExitStack() as opened:
        for _ in range(MAX_CONNECTIONS):
            opened.enter_context(connect(server))
        assert server.get("/health").status_code == 503
        many = opened.enter_context(connect(server))
        many.settimeout(10)
        assert many.recv(1) == b""  # given up sooner than the others


@pytest.mark.slow
def test_slow_clients_are_given_up(server):
    body = HEAD + b"Content-Length: 100\r\n\r\n{"
    with ThreadPoolExecutor(4) as slow:
        half_head = slow.submit(exchange, server, HEAD)
        half_body = slow.submit(exchange, server, body)
        silent = slow.submit(exchange, server, b"")
        drips = slow.submit(exchange, server, HEAD, *[b"X: a\r\n"] * 60)
        for _ in range(50):
            with connect(server) as cut:
                cut.sendall(body)
        assert len(server.predict(ZERO)) == 1
        assert not silent.done()
        answer = half_body.result()
        assert b"408 Request Timeout" in answer
        assert answer.endswith(b'{"error":"the body was not complete within 25 s"}')
        assert (half_head.result(), silent.result(), drips.result()) == (b"", b"", b"closed")


def test_foreign_pages_are_refused(server):
    probes = [("GET", "/health"), ("GET", "/ready"), ("GET", "/metrics")]
    routes = [("GET", "/model"), ("POST", "/predict"), ("GET", "/ready/x")]
    answers = statuses(server.port, [*routes, *probes], Host="10.0.0.7")  # as kubelet asks
    assert answers == {403: routes, 200: probes}


def test_upgrade_is_ignored(server):
    """As Java's HttpClient asks for HTTP/2 with each request."""
    upgrade = b"\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nContent-Type"
    asking = raw(1).replace(b"\r\nContent-Type", upgrade)
    head = asking.partition(b"Content-Length")[0]
    answer = exchange(server, asking[:-9], asking[-9:] + asking * 400 + head + CHUNKED + LAST)
    assert answer.count(b"HTTP/1.1 200 OK") == answer.count(b"HTTP/1.1") == 403


@pytest.mark.parametrize(
    ("content", "answers"),
    [
        (LAST, 1),
        (raw(900) * 2, 2),
        (HEAD + b"Content-Length: 9\r\n\r\n{", 0),
    ],
)
def test_half_closed_client_gets_what_it_asked_for(server, content, answers):
    started = time.monotonic()
    answer = exchange(server, content, half_closed=True)
    assert time.monotonic() - started < 5
    assert answer.count(b"HTTP/1.1 200 OK") == answer.count(b"HTTP/1.1") == answers


def test_log_among_the_files_of_a_package_is_refused(monkeypatch):
    monkeypatch.setattr(sys, "argv", ["serve", "--log", "./mine"])
    line = "--log mine: in a package it is called log; or it is elsewhere"
    assert finding(UsageError, _command.options) == line


def test_address_that_is_empty_taken_or_none_is_refused(server):
    assert finding(UsageError, listen, 0, "").startswith("--host: is empty; ")
    assert finding(UsageError, listen, 99999) == "--port: 99999 is none of 0 to 65535"
    assert f"127.0.0.1:{server.port}: " in finding(BusyError, listen, server.port)
