"""Many requests at once: batches, limits, and the end of the server."""

import signal
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import numpy as np
import requests
from helpers import served, until
from packaged import Package, running

from imageproof.base.dataset import Images, Probabilities
from imageproof.base.inference import BATCH, Network
from imageproof.serve.app import MAX_HELD, Service
from imageproof.serve.bodies import MAX_BODY
from imageproof.serve.model import Model

RAW = {"Content-Type": "application/octet-stream"}


class Held:
    """A model that answers only when it is let go."""

    def __init__(self) -> None:
        self.go = threading.Event()
        self.batches: list[int] = []

    def __call__(self, images: Images) -> Probabilities:
        self.batches.append(len(images))
        assert self.go.wait(60)
        return np.eye(10, dtype=np.float32)[images[:, 0, 0]]


@contextmanager
def holding(package: Package, model: Any) -> Iterator[str]:
    network = Network(package.description.shape, 10, model)
    service = Service(Model(package.description, network))
    with served(service.app()) as port:
        yield f"http://127.0.0.1:{port}"


def ask(address: str, *labels: int) -> requests.Response:
    """Images whose first pixel is a label."""
    images = np.zeros((len(labels), 8, 8), np.uint8)
    images[:, 0, 0] = labels
    return requests.post(f"{address}/predict", images.tobytes(), headers=RAW, timeout=60)


def waiting(address: str) -> float:
    lines = requests.get(f"{address}/metrics", timeout=20).text.splitlines()
    [line] = [line for line in lines if line.startswith("imageproof_waiting_images ")]
    return float(line.split()[1])


def predicted(response: requests.Response) -> list[str]:
    return [each["predicted"] for each in response.json()["predictions"]]


def test_waiting_requests_are_one_batch(package: Package) -> None:
    held = Held()
    with holding(package, held) as address, ThreadPoolExecutor(9) as clients:
        first = clients.submit(ask, address, 9)
        assert until(lambda: held.batches == [1])
        others = [clients.submit(ask, address, label, label) for label in range(8)]
        assert until(lambda: waiting(address) == 17)
        held.go.set()
        assert predicted(first.result()) == ["9"]
        for label, other in enumerate(others):
            assert predicted(other.result()) == [package.names[label]] * 2
    assert held.batches == [1, 16]


def test_small_requests_go_between_parts_of_a_large_one(package: Package) -> None:
    held = Held()
    with holding(package, held) as address, ThreadPoolExecutor(2) as clients:
        large = clients.submit(ask, address, *[1, 2] * BATCH)
        assert until(lambda: held.batches == [BATCH])
        small = clients.submit(ask, address, 3)
        assert until(lambda: waiting(address) == 2 * BATCH + 1)
        held.go.set()
        assert predicted(small.result()) == ["drei"]
        assert predicted(large.result()) == ["eins", "zwei"] * BATCH
    assert held.batches == [BATCH, 1, BATCH]


def test_too_many_bytes_are_refused(package: Package) -> None:
    held, fit = Held(), MAX_HELD // MAX_BODY
    description = package.description.model_copy(update={"shape": (500, 500)})
    with (
        holding(package._replace(description=description), held) as address,
        ThreadPoolExecutor(fit) as clients,
    ):
        url, body = f"{address}/predict", bytes(MAX_BODY)
        asked = [clients.submit(requests.post, url, body, headers=RAW) for _ in range(fit)]
        assert until(lambda: waiting(address) == fit * MAX_BODY // 500**2)
        refused = requests.post(url, body, headers=RAW, timeout=20)
        assert (refused.status_code, refused.headers["Retry-After"]) == (503, "1")
        assert requests.get(f"{address}/health", timeout=20).status_code == 200
        held.go.set()
        assert [each.result().status_code for each in asked] == [200] * fit
        assert requests.post(url, body, headers=RAW, timeout=20).status_code == 200


def test_model_fault_is_500_and_the_next_is_answered(package: Package) -> None:
    def model(images: Images) -> Probabilities:
        if images[0, 0, 0] == 13:
            raise RuntimeError("13")
        return np.eye(10, dtype=np.float32)[images[:, 0, 0]]

    with holding(package, model) as address:
        response = ask(address, 13)
        assert (response.status_code, response.json().keys()) == (500, {"error"})
        assert predicted(ask(address, 1)) == ["eins"]


def test_sigterm_answers_requests_in_progress(package: Package) -> None:
    with (
        running(package.folder) as server,
        socket.create_connection(("127.0.0.1", server.port), timeout=20) as slow,
    ):
        slow.sendall(
            b"POST /predict HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 64\r\n"
            b"Content-Type: application/octet-stream\r\n\r\n" + bytes(32)
        )
        time.sleep(0.5)  # until it is read
        server.process.send_signal(signal.SIGTERM)
        time.sleep(1)
        assert server.process.poll() is None
        slow.sendall(bytes(32))
        assert slow.recv(65536).startswith(b"HTTP/1.1 200 OK")
        assert server.process.wait(timeout=30) == 0
