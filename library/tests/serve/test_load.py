"""Many requests at once: batches, limits, and the end of the server."""

import signal
import socket
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from helpers import answers, until
from packaged import CLASSES, RAW, running, within

from imageproof.base._inference import BATCH, Network
from imageproof.serve._app import Service
from imageproof.serve._bodies import MAX_BODY
from imageproof.serve._model import Model
from imageproof.system._bodies import MAX_WAITING


class Held:
    """A model that answers only when it is let go."""

    def __init__(self):
        self.go = threading.Event()
        self.batches = []

    def __call__(self, images):
        self.batches.append(len(images))
        assert self.go.wait(60)
        return label(images)


def label(images):
    """The first pixel, surely."""
    return np.eye(10, dtype=np.float32)[images[:, 0, 0]]


def serving(description, predict):
    network = Network(description.shape, 10, predict)
    return within(Service(Model(description, network)).app())


def ask(client, *labels):
    """The classes of images whose first pixel is a label."""
    images = np.zeros((len(labels), 8, 8), np.uint8)
    images[:, 0, 0] = labels
    return [answer["predicted"] for answer in client.predict(images)]


def waiting(client):
    return client.metrics()["imageproof_waiting_images"]


def test_small_requests_are_one_batch_within_a_large_one(package):
    held = Held()
    with serving(package.description, held) as client, ThreadPoolExecutor(9) as clients:
        large = clients.submit(ask, client, *[1, 2] * BATCH)
        assert until(lambda: held.batches == [BATCH])
        small = [clients.submit(ask, client, k, k) for k in range(8)]
        assert until(lambda: waiting(client) == 2 * BATCH + 16)
        held.go.set()
        assert [request.result() for request in small] == [[name] * 2 for name in CLASSES[:8]]
        assert large.result() == ["eins", "zwei"] * BATCH
    assert held.batches == [BATCH, 16, BATCH]


def test_too_many_bytes_are_refused(package):
    held = Held()
    request = ("/predict", bytes(MAX_BODY), RAW)
    description = package.description.model_copy(update={"shape": (500, 500)})
    times = MAX_WAITING // MAX_BODY
    with serving(description, held) as client, ThreadPoolExecutor(times) as clients:
        requests = [clients.submit(client.post, *request) for _ in range(times)]
        assert until(lambda: waiting(client) == MAX_WAITING // 500**2)
        refusal = client.post(*request)
        assert (refusal.status_code, refusal.headers["Retry-After"]) == (503, "1")
        assert client.get("/health").status_code == 200
        held.go.set()
        assert [request.result().status_code for request in requests] == [200] * times
        assert client.post(*request).status_code == 200


def test_fault_of_one_request_is_none_of_those_in_its_batch(package):
    held = Held()
    with serving(package.description, held) as client, ThreadPoolExecutor(3) as clients:
        first = clients.submit(ask, client, 0)
        assert until(lambda: held.batches == [1])
        wrong = clients.submit(client.post, "/predict", bytes([13] * 64), RAW)
        others = clients.submit(ask, client, 1, 2)
        assert until(lambda: waiting(client) == 4)
        held.go.set()
        response = wrong.result()
        assert (response.status_code, response.json().keys()) == (500, {"error"})
        assert first.result() + others.result() == CLASSES[:3]
    assert held.batches[1] == 3


def test_sigterm_before_the_loop_runs_ends_without_a_line(package):
    code = """
import os, signal, uvicorn
from imageproof.serve._command import main

factory = uvicorn.Config.get_loop_factory

def interrupted(config):
    os.kill(os.getpid(), signal.SIGTERM)
    return factory(config)

uvicorn.Config.get_loop_factory = interrupted
main()
"""
    command = [sys.executable, "-c", code, "--port", "0"]
    end = subprocess.run(command, cwd=package.folder, capture_output=True, text=True, timeout=60)
    assert (end.returncode, end.stderr) == (0, "")


def test_sigterm_ends_readiness_and_answers_the_rest(package):
    with (
        running(package.folder) as server,
        socket.create_connection(("127.0.0.1", server.port), timeout=20) as slow,
    ):
        assert server.get("/ready").status_code == 200
        slow.sendall(
            b"POST /predict HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 64\r\n"
            b"Content-Type: application/octet-stream\r\n\r\n" + bytes(32)
        )
        time.sleep(0.5)  # until it is read
        server.process.send_signal(signal.SIGTERM)
        assert until(lambda: server.get("/ready").json() == {"ready": False})
        assert server.get("/v2/models/imageproof/ready").status_code == 503
        assert server.get("/v2/health/live").status_code == 200
        assert len(server.predict(package.images)) == 200
        assert until(lambda: not answers(server.port))  # draining; the slow request is under way
        assert server.process.poll() is None
        slow.sendall(bytes(32))
        assert slow.recv(65536).startswith(b"HTTP/1.1 200 OK")
        assert server.process.wait(timeout=30) == 0
