"""Whatever is sent to a package's server: a sentence, no traceback, and the next is answered."""

import json
import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from typing import Any

import numpy as np
import psutil
import pytest
import requests
from helpers import python
from intruder import statuses
from packaged import Package, Running, code, running

from imageproof.serve.protocol import MAX_CONNECTIONS

JSON, RAW, PNG = "application/json", "application/octet-stream", "image/png"
ZERO = np.zeros((8, 8), int).tolist()
HEAD = b"POST /predict HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
LAST = b"GET /health HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n"
MODEL = LAST.replace(b"health", b"model")
ARRAYS = '{"inputs": [image, …]} is allowed, each image 8 lists of 8 whole numbers from 0 to 255'


@pytest.fixture(autouse=True)
def _answers_after_each_test(server: Running) -> Iterator[None]:
    yield
    response = requests.post(f"{server.address}/predict", json={"inputs": [ZERO]}, timeout=20)
    assert response.status_code == 200


def with_pixel(value: Any) -> str:
    image = np.zeros((8, 8), int).tolist()
    image[2][3] = value
    return json.dumps({"inputs": [ZERO, image]})


@pytest.mark.parametrize(
    ("kind", "body", "status", "says"),
    [
        ("text/plain", b"x", 415, "Content-Type: 'text/plain'; allowed are application/json, "),
        (JSON, b"[" * 10_000 + b" " * 200_000, 400, "not JSON: "),
        (JSON, b"[" * 100_000, 422, ARRAYS),
        (JSON, "[1]", 422, ARRAYS),
        (JSON, json.dumps({"inputs": ["x" * 9999] + ["y"] * 99_999}), 422, ARRAYS),
        (JSON, with_pixel("x" * 4_000_000), 422, ARRAYS),
        (JSON, with_pixel(-1), 422, ARRAYS),
        (JSON, with_pixel(True), 422, ARRAYS),
        (JSON, json.dumps({"inputs": [ZERO] * 1001}), 413, "1,001 images; at most 1,000 "),
        (RAW, b"x" * 65, 422, "65 bytes; 64 are needed for each image"),
        (PNG, b"no", 422, "no PNG, JPEG, WebP or BMP"),
        (JSON, b"x" * 50_000_000, 413, "over 5,000,000 bytes long"),
        (JSON, (b"x" * 100_000 for _ in range(500)), 413, "over 5,000,000 bytes long"),
    ],
)
def test_bad_body_is_told(server: Running, kind: str, body: Any, status: int, says: str) -> None:
    body = body.encode() if isinstance(body, str) else body
    headers = {"Content-Type": kind}
    response = requests.post(f"{server.address}/predict", data=body, headers=headers, timeout=20)
    assert response.status_code == status
    assert response.json().keys() == {"error"}
    assert response.json()["error"].startswith(says)
    assert "\n" not in response.json()["error"]


def test_other_paths_and_methods(server: Running) -> None:
    not_allowed = ("GET", "/predict"), ("POST", "/health"), ("POST", "/")
    for method, path, status in (("GET", "/no", 404), *((*asked, 405) for asked in not_allowed)):
        response = requests.request(method, f"{server.address}{path}", timeout=20)
        assert (response.status_code, response.json().keys()) == (status, {"error"})


def exchange(server: Running, *parts: bytes, pause: float = 0.5) -> bytes:
    """What comes back, until the server closes, for bytes sent with pauses in between."""
    with socket.create_connection(("127.0.0.1", server.port), timeout=60) as connection:
        try:
            for part in parts:
                connection.sendall(part)
                time.sleep(pause if len(parts) > 1 else 0)
            answer = b""
            while chunk := connection.recv(65536):
                answer += chunk
        except ConnectionError:  # sent on after the server had given up
            return b"closed"
        return answer


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (HEAD + b"Content-Length: -1\r\n\r\n", 400),
        (HEAD + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
        (b"GET /model HTTP/1.1\r\nConnection: close\r\n\r\n", 403),
        (MODEL.replace(b"Host: 127.0.0.1", b"Host: 127.0.0.1\r\nHost: evil"), 403),
    ],
)
def test_bad_http_is_refused(server: Running, sent: bytes, status: int) -> None:
    assert exchange(server, sent).startswith(b"HTTP/1.1 %d " % status)


def test_endless_head_is_refused(server: Running) -> None:
    said = exchange(server, b"GET / HTTP/1.1\r\nX: ", *[b"a" * 40_000] * 4, pause=0.1)
    assert b"Over 32,000 bytes of headers." in said or said == b"closed"


@pytest.mark.parametrize("part", [b"X: " + b"a" * 40_000 + b"\r\n", b"a" * 40_000])
def test_endless_trailers_are_refused(server: Running, part: bytes) -> None:
    head = HEAD + b"Transfer-Encoding: chunked\r\n\r\n1\r\n[\r\n0\r\nY: "
    said = exchange(server, head, *[part] * 4, pause=0.1)
    assert b"Over 32,000 bytes of headers." in said or said == b"closed"


def raw(count: int) -> bytes:
    """A request with so many images."""
    size = b"Content-Length: %d\r\n\r\n" % (count * 64)
    return HEAD.replace(b"json", b"octet-stream") + size + bytes(count * 64)


def test_pipelined_requests_are_all_answered(server: Running) -> None:
    sent = raw(1) + raw(900) * 2 + LAST
    answer = exchange(server, sent[:-9], sent[-9:])
    assert answer.count(b"HTTP/1.1 200 OK") == answer.count(b"HTTP/1.1") == 4


@pytest.mark.parametrize(
    "sent", [raw(1) * 3_000, b"GET /health HTTP/1.1\r\nHost: ::1\r\n\r\n" * 9_000]
)
def test_pipelining_client_that_reads_nothing_fills_no_memory(server: Running, sent: bytes) -> None:
    process = psutil.Process(server.process.pid)
    before = process.memory_info().rss
    with socket.create_connection(("127.0.0.1", server.port)) as client:
        client.settimeout(2)
        with pytest.raises(TimeoutError):  # the server takes no more
            client.sendall(sent * 50)
        assert requests.get(f"{server.address}/health", timeout=20).status_code == 200
        assert process.memory_info().rss < 2 * before


def test_too_many_connections(server: Running) -> None:
    with ExitStack() as opened:
        for _ in range(MAX_CONNECTIONS):
            opened.enter_context(socket.create_connection(("127.0.0.1", server.port)))
        assert requests.get(f"{server.address}/health", timeout=20).status_code == 503
        many = socket.create_connection(("127.0.0.1", server.port), timeout=10)
        assert opened.enter_context(many).recv(1) == b""  # given up sooner than the others


@pytest.mark.slow
def test_slow_clients_are_given_up(server: Running) -> None:
    body = HEAD + b"Content-Length: 100\r\n\r\n{"
    with ThreadPoolExecutor(8) as slow:
        half_head = slow.submit(exchange, server, HEAD)
        half_body = slow.submit(exchange, server, body)
        silent = slow.submit(exchange, server, b"")
        drips = slow.submit(exchange, server, HEAD, *[b"X: a\r\n"] * 60)
        for _ in range(50):
            with socket.create_connection(("127.0.0.1", server.port)) as cut:
                cut.sendall(body)
        answer = requests.post(f"{server.address}/predict", json={"inputs": [ZERO]}, timeout=5)
        assert answer.status_code == 200
        assert not silent.done()
        assert b"408 Request Timeout" in (said := half_body.result())
        assert said.endswith(b'{"error":"the body was not complete within 10 s"}')
        assert (half_head.result(), silent.result(), drips.result()) == (b"", b"", b"closed")


def test_foreign_pages_are_refused(server: Running) -> None:
    probes = [("GET", "/health"), ("GET", "/ready"), ("GET", "/metrics")]
    routes = [("GET", "/model"), ("POST", "/predict"), ("GET", "/ready/x")]
    asked = statuses(server.port, [*routes, *probes], Host="10.0.0.7")  # as kubelet asks
    assert asked == {403: routes, 200: probes}


def test_upgrade_is_ignored(server: Running) -> None:
    """As Java's HttpClient asks for HTTP/2 with each request."""
    upgrade = b"\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nContent-Type"
    sent = raw(1).replace(b"\r\nContent-Type", upgrade)
    chunked = b"Transfer-Encoding: chunked\r\n\r\n40\r\n" + bytes(64) + b"\r\n0\r\n\r\n"
    head = sent.partition(b"Content-Length")[0]
    answer = exchange(server, sent[:-9], sent[-9:] + sent * 400 + head + chunked + LAST)
    assert answer.count(b"HTTP/1.1 200 OK") == answer.count(b"HTTP/1.1") == 403


def test_head_is_answered_like_get(server: Running) -> None:
    for path in ("/", "/model", "/health", "/ready", "/metrics"):
        response = requests.head(f"{server.address}{path}", timeout=20)
        assert (response.status_code, response.content) == (200, b"")
    assert requests.head(f"{server.address}/predict", timeout=20).status_code == 405


@pytest.mark.parametrize("sent", [LAST, raw(1), raw(1) * 3, raw(900) * 2])
def test_half_closed_client_is_answered(server: Running, sent: bytes) -> None:
    with socket.create_connection(("127.0.0.1", server.port), timeout=60) as client:
        client.sendall(sent)
        client.shutdown(socket.SHUT_WR)
        answer = b"".join(iter(lambda: client.recv(65536), b""))
    assert answer.count(b"HTTP/1.1 200 OK") == sent.count(b"HTTP/1.1")


@pytest.mark.parametrize("sent", [HEAD, HEAD + b"Content-Length: 9\r\n\r\n{"])
def test_half_closed_half_request_is_given_up(server: Running, sent: bytes) -> None:
    with socket.create_connection(("127.0.0.1", server.port), timeout=5) as client:
        client.sendall(sent)
        client.shutdown(socket.SHUT_WR)
        assert client.recv(65536) == b""


def test_ipv6(package: Package) -> None:
    with running(package.folder, "--host", "::1") as server:
        assert server.address == f"http://[::1]:{server.port}"
        assert requests.get(f"{server.address}/health", timeout=20).status_code == 200


@pytest.mark.parametrize(
    ("option", "value", "says"),
    [
        ("--host", "é" * 70, "no name of a machine"),
        ("--host", "", "--host: is empty; 127.0.0.1 is this machine, 0.0.0.0 all its networks"),
        ("--port", "99999", "--port 99999: 0…65535 is allowed"),
        ("--log", "", "--log '': in a package it is called log; or it is elsewhere"),
        ("--log", "./mine", "--log './mine': in a package it is called log"),
    ],
)
def test_wrong_option_is_a_line(package: Package, option: str, value: str, says: str) -> None:
    command = ("-m", "imageproof.serve", option, value)
    done = python(*command, cwd=package.folder, env=code(package.folder))
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    assert says in done.stderr
