"""A client that loads a server with requests: one process, one thread, prepared bytes.

`python -m benchmarks.client` reads a job as JSON and prints the result as JSON. A request costs
this process 0.04 ms, so the server is what is measured.
"""

import json
import os
import re
import signal
import socket
import sys
import time
from collections import Counter, deque
from dataclasses import dataclass, field
from selectors import EVENT_READ, SelectSelector
from typing import Any, cast

LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
TIMEOUT_S = 60
SLOW_S = 0.1


@dataclass
class Job:
    """What to ask 127.0.0.1, over connections that stay open.

    A body is JSON with one image; in its answer the class with the index `expected` must be the
    most probable. Bodies are sent in turns. `rate` is in requests per second; without it each
    client sends its next request when it has the answer. `end` is the process that gets SIGTERM
    after `end_after` requests.
    """

    port: int
    path: str
    bodies: list[str]
    expected: list[int]
    clients: int
    requests: int
    rate: float = float("inf")
    end: int | None = None
    end_after: int = 0


@dataclass
class Result:
    """What came of it; `latencies` are seconds from when a request was due to its whole answer.

    `slow` counts those over SLOW_S by the second of the job: a machine that stops for a moment is
    one second, a server that is too slow is many.

    After SIGTERM: requests sent before it must still be answered (`answered_after_signal`), later
    ones may find the connection closed (`closed_after_signal`).
    """

    seconds: float = 0.0
    latencies: list[float] = field(default_factory=list)
    slow: Counter[int] = field(default_factory=Counter)
    errors: Counter[str] = field(default_factory=Counter)
    answered_after_signal: int = 0
    closed_after_signal: int = 0


class Load:
    """The connections of one job, and what they wait for."""

    def __init__(self, job: Job) -> None:
        self.job = job
        self.messages = [_message(job, body) for body in job.bodies]
        self.result = Result()
        self.selector = SelectSelector()  # epoll would wait whole milliseconds
        self.free: deque[socket.socket] = deque()
        self.waiting: dict[socket.socket, tuple[int, float]] = {}  # request, when it was due
        self.sent = 0
        self.start = 0.0
        self.signalled = float("inf")  # when SIGTERM was sent

    def run(self) -> Result:
        """Send all requests, and wait for their answers."""
        for _ in range(self.job.clients):
            self._connect()
        self.start = start = time.perf_counter()
        while self.waiting or (self.free and self.sent < self.job.requests):
            pause = self._send_due(start)
            if self.job.end and self.sent >= self.job.end_after:
                os.kill(self.job.end, signal.SIGTERM)
                self.job.end = None
                self.signalled = time.perf_counter()
            for key, _ in self.selector.select(pause):
                self._receive(cast(socket.socket, key.fileobj))
        self.result.seconds = time.perf_counter() - start
        for connection in self.free:
            connection.close()
        return self.result

    def _connect(self) -> None:
        connection = socket.create_connection(("127.0.0.1", self.job.port), TIMEOUT_S)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.selector.register(connection, EVENT_READ)
        self.free.append(connection)

    def _send_due(self, start: float) -> float | None:
        """Send what is due over free connections; seconds until more is due, None if unknown."""
        while self.free and self.sent < self.job.requests:
            due = start + self.sent / self.job.rate
            now = time.perf_counter()
            if due > now:
                return due - now
            connection = self.free.popleft()
            # with a rate, waiting for a free connection is part of the latency
            self.waiting[connection] = (self.sent, now if due == start else due)
            self.sent += 1
            try:
                connection.sendall(self.messages[self.waiting[connection][0] % len(self.messages)])
            except OSError:
                self._closed(connection)
        return None

    def _receive(self, connection: socket.socket) -> None:
        try:
            answer = _read(connection)
        except OSError:
            self._closed(connection)
            return
        number, due = self.waiting.pop(connection)
        now = time.perf_counter()
        self.result.latencies.append(now - due)
        if now - due > SLOW_S:
            self.result.slow[int(due - self.start)] += 1
        self.result.answered_after_signal += due <= self.signalled < now
        if finding := _finding(answer, self.job.expected[number % len(self.job.expected)]):
            self.result.errors[finding] += 1
        self.free.append(connection)

    def _closed(self, connection: socket.socket) -> None:
        """The server has closed a connection: an error where a request waited on it."""
        self.selector.unregister(connection)
        connection.close()
        if connection not in self.waiting:
            self.free.remove(connection)
        elif self.waiting.pop(connection)[1] > self.signalled:
            self.result.closed_after_signal += 1
        else:
            self.result.errors["closed without an answer"] += 1
        if self.signalled == float("inf"):
            self._connect()


def _message(job: Job, body: str) -> bytes:
    """A request over HTTP/1.1."""
    content = body.encode()
    lines = [
        f"POST {job.path} HTTP/1.1",
        f"Host: 127.0.0.1:{job.port}",
        "Content-Type: application/json",
        f"Content-Length: {len(content)}",
    ]
    return "\r\n".join([*lines, "", ""]).encode() + content


def _read(connection: socket.socket) -> bytes:
    """A whole answer; its head says how long its body is."""
    answer = b""
    while True:
        if not (piece := connection.recv(65536)):
            raise ConnectionResetError
        answer += piece
        head, end, body = answer.partition(b"\r\n\r\n")
        if end and len(body) >= int(LENGTH.search(head)[1]):  # type: ignore[index]
            return answer


def _finding(answer: bytes, expected: int) -> str:
    """What is wrong with an answer; empty if it gives the expected class."""
    head, _, body = answer.partition(b"\r\n\r\n")
    if not head.startswith(b"HTTP/1.1 200 "):
        return head.partition(b"\r\n")[0].decode()
    [probabilities] = rows(json.loads(body))
    return (
        ""
        if max(range(len(probabilities)), key=probabilities.__getitem__) == expected
        else "wrong class"
    )


def rows(answer: Any) -> list[list[float]]:
    """The probabilities in an answer, a row for each image.

    MLflow's ONNX flavour puts them below the output's name, the package into an object per image.
    """
    predictions = answer["predictions"]
    if isinstance(predictions, dict):
        return cast(list[list[float]], predictions["probabilities"])
    return [row["probabilities"] if isinstance(row, dict) else row for row in predictions]


if __name__ == "__main__":
    print(json.dumps(vars(Load(Job(**json.load(sys.stdin))).run())))
