"""How fast a trained model answers: in process, over HTTP, and by `digits score`."""

import json
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from tempfile import TemporaryFile
from typing import Any

import numpy as np

from benchmarks.workspace import Workspace, free_port
from digits.core import system
from digits.core.artifacts import split_path

MODEL = "compact"
CALLS = {1: 100, 1000: 10}  # by the number of images in each
WARM_UP_CALLS = 3
ROWS = (10_000, 1_000_000)
REQUESTS = 1000
CLIENTS = 8
POLL_S = 0.05


def measure_inference(workspace: Workspace) -> Iterator[dict[str, Any]]:
    """p50 and p95 in ms, and images per second, of each way to ask one and 1,000 images."""
    import mlflow

    from digits.training import keras_inference

    images = _trained(workspace)[:1000]
    uri = f"models:/{workspace.run_record(MODEL)['model_id']}"
    mlflow.set_tracking_uri(workspace.store)
    keras_model = keras_inference.load(workspace.model_path(MODEL))
    with _served(workspace, uri) as ask:
        ways: dict[str, Callable[[np.ndarray], Any]] = {
            "keras model.predict": lambda rows: keras_model.predict(rows, verbose=0),
            "digits, one graph": keras_inference.predictor(keras_model),
            "mlflow.pyfunc, in process": mlflow.pyfunc.load_model(uri).predict,
            "mlflow models serve, HTTP": ask,
        }
        yield {name: _latencies(way, images) for name, way in ways.items()}


def _trained(workspace: Workspace) -> np.ndarray:
    """Train the model, and return the test images uint8 (n, height, width)."""
    workspace.split()
    workspace.train(MODEL, seed=0)
    with np.load(workspace.root / split_path("test")) as arrays:
        images: np.ndarray = arrays["images"]
    return images


def _latencies(way: Callable[[np.ndarray], Any], images: np.ndarray) -> dict[str, Any]:
    row = {}
    for size, calls in CALLS.items():
        rows = images[:size]
        for _ in range(WARM_UP_CALLS):
            way(rows)
        p50, p95 = np.percentile([_seconds(way, rows) for _ in range(calls)], [50, 95])
        row[str(size)] = {
            "p50_ms": float(p50) * 1000,
            "p95_ms": float(p95) * 1000,
            "images_per_s": size / float(p50),
        }
    return row


def _seconds(way: Callable[[np.ndarray], Any], rows: np.ndarray) -> float:
    start = time.perf_counter()
    way(rows)
    return time.perf_counter() - start


@contextmanager
def _served(workspace: Workspace, uri: str) -> Iterator[Callable[[np.ndarray], Any]]:
    """A function that asks `mlflow models serve`, which runs for the time of the block."""
    address = f"http://127.0.0.1:{(port := free_port())}"
    command = ["mlflow", "models", "serve", "-m", uri, "--env-manager", "local", "-p", str(port)]
    ready = f"{address}/ping"
    uri_of_store = {"MLFLOW_TRACKING_URI": workspace.store}
    with workspace.server(sys.executable, "-m", *command, ready=ready, **uri_of_store):
        yield partial(_post, f"{address}/invocations")


def _post(address: str, rows: np.ndarray) -> Any:
    """The server's answer to images uint8 (n, height, width)."""
    body = json.dumps({"inputs": rows.tolist()}).encode()
    request = urllib.request.Request(address, body, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=60) as answer:
        return json.load(answer)


def measure_scoring(workspace: Workspace) -> Iterator[dict[str, Any]]:
    """`digits score` for each number of rows, and requests of one image by 8 clients at once."""
    images = _trained(workspace)
    uri = _registered(workspace)
    yield {
        "model": MODEL,
        "score": {str(count): _score_command(workspace, uri, images, count) for count in ROWS},
        "serve": _many_clients(workspace, uri, images[np.arange(REQUESTS) % len(images)]),
    }


def _registered(workspace: Workspace) -> str:
    """The address of the last training, registered as a version without the gate."""
    import mlflow

    from digits.registry.versions import Registry, trained_run

    record = workspace.run_record(MODEL)
    mlflow.set_tracking_uri(workspace.store)
    registry = Registry("digits")
    return registry.uri(registry.register(trained_run(record["run_id"])))


def _score_command(
    workspace: Workspace, uri: str, images: np.ndarray, count: int
) -> dict[str, float]:
    """Seconds of the whole command, rows per second of its predictions, peak memory in 10⁶ bytes.

    The images are repeated to `count` rows.
    """
    path = workspace.root / "rows.npz"
    np.savez(path, images=np.resize(images, (count, *images.shape[1:])))
    command = ["digits", "score", str(path), "--model", uri, "--json"]
    peak_mb, start = 0.0, time.perf_counter()
    with TemporaryFile("w+") as output:
        process = subprocess.Popen(
            command, cwd=workspace.root, env=workspace.environment(), stdout=output
        )
        while process.poll() is None:
            peak_mb = max(peak_mb, system.peak_memory(process.pid) / 1e6)
            time.sleep(POLL_S)
        wall_s = time.perf_counter() - start
        if process.returncode:
            raise RuntimeError(f"{' '.join(command)} ended with {process.returncode}")
        output.seek(0)
        printed = json.load(output)
    path.unlink()
    return {"wall_s": wall_s, "rows_per_s": printed["rows_per_s"], "peak_mb": peak_mb}


def _many_clients(workspace: Workspace, uri: str, images: np.ndarray) -> dict[str, float]:
    """Errors, and p50 and p95 in ms, while 8 clients ask for one image at a time."""
    with _served(workspace, uri) as ask, ThreadPoolExecutor(CLIENTS) as clients:

        def seconds_of(image: np.ndarray) -> float | None:
            """Until the answer; None unless it holds probabilities for one image."""
            start = time.perf_counter()
            try:
                [probabilities] = ask(image[np.newaxis])["predictions"]
            except (OSError, ValueError, KeyError):
                return None
            return time.perf_counter() - start if len(probabilities) > 1 else None

        list(clients.map(seconds_of, images[: 2 * CLIENTS]))
        start = time.perf_counter()
        seconds = list(clients.map(seconds_of, images))
        wall_s = time.perf_counter() - start
    answered = [value for value in seconds if value is not None]
    p50, p95 = np.percentile(answered, [50, 95])
    return {
        "requests": len(seconds),
        "clients": CLIENTS,
        "errors": len(seconds) - len(answered),
        "p50_ms": float(p50) * 1000,
        "p95_ms": float(p95) * 1000,
        "requests_per_s": len(seconds) / wall_s,
    }
