"""How fast a model answers: Keras itself against what MLflow loads and serves."""

import json
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from benchmarks.workspace import Workspace, free_port, wait_for

SIZES = {1: 100, 1000: 10}  # images: calls


def measure(workspace: Workspace, model: str) -> dict[str, Any]:
    """p50 and p95 in ms, and images per second, for 1 and for 1,000 images in each way."""
    import mlflow

    from digits.training import inference, saved_model

    folder = workspace.root / "artifacts"
    with np.load(folder / "split/test.npz") as arrays:
        images = arrays["images"][:1000]
    record = json.loads((folder / f"train/{model}/run.json").read_text("utf-8"))
    mlflow.set_tracking_uri(f"sqlite:///{workspace.root}/mlflow.db")
    uri = f"models:/{record['model_id']}"
    keras_model = saved_model.load(folder / f"train/{model}/model.keras")
    with served(workspace, uri) as address:
        ways: dict[str, Callable[[np.ndarray], Any]] = {
            "keras model.predict": lambda rows: keras_model.predict(rows, verbose=0),
            "digits, one graph": inference.predictor(keras_model),
            "mlflow.pyfunc, in process": mlflow.pyfunc.load_model(uri).predict,
            "mlflow models serve, HTTP": lambda rows: post(address, rows),
        }
        return {name: _timed(way, images) for name, way in ways.items()}


def _timed(way: Callable[[np.ndarray], Any], images: np.ndarray) -> dict[str, Any]:
    row = {}
    for size, calls in SIZES.items():
        rows = images[:size]
        for _ in range(3):
            way(rows)
        seconds = [_seconds(way, rows) for _ in range(calls)]
        p50, p95 = np.percentile(seconds, [50, 95])
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
def served(workspace: Workspace, uri: str) -> Iterator[str]:
    """The address of `mlflow models serve` for the time of the block."""
    port = free_port()
    command = ["mlflow", "models", "serve", "-m", uri, "--env-manager", "local", "-p", str(port)]
    server = subprocess.Popen(
        [sys.executable, "-m", *command],
        cwd=workspace.root,
        env=workspace.environment() | {"MLFLOW_TRACKING_URI": "sqlite:///mlflow.db"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    address = f"http://127.0.0.1:{port}"
    try:
        wait_for(f"{address}/ping")
        yield f"{address}/invocations"
    finally:
        server.terminate()
        server.wait(30)


def post(address: str, rows: np.ndarray) -> Any:
    """What the server answers to images uint8 (n, height, width)."""
    body = json.dumps({"inputs": rows.tolist()}).encode()
    request = urllib.request.Request(address, body, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=60) as answer:
        return json.load(answer)
