"""How fast a trained model answers one caller: in process, over HTTP, and by `digits score`."""

import json
import subprocess
import time
from collections.abc import Callable, Iterator
from tempfile import TemporaryFile
from typing import Any

import numpy as np

from benchmarks.servers import mlflow_server
from benchmarks.workspace import Workspace
from digits.core import system
from digits.core.dataset import Images

MODEL = "compact"
CALLS = {1: 100, 1000: 10}  # by the number of images in each
WARM_UP_CALLS = 3
ROWS = (10_000, 1_000_000)
POLL_S = 0.05


def measure_inference(workspace: Workspace) -> Iterator[dict[str, Any]]:
    """p50 and p95 in ms, and images per second, of each way to ask one and 1,000 images."""
    import keras
    import mlflow

    from digits.training import inference

    images = workspace.trained_images(MODEL)[:1000]
    uri = workspace.logged(MODEL)
    mlflow.set_tracking_uri(workspace.store)
    outputs = workspace.outputs(MODEL)
    keras_model = keras.saving.load_model(outputs.keras, compile=False)
    with mlflow_server(workspace, uri) as target:
        ways: dict[str, Callable[[Images], Any]] = {
            "keras model.predict": lambda rows: keras_model.predict(rows, verbose=0),
            "digits, ONNX Runtime": inference.load(
                outputs.model, threads=workspace.threads
            ).predict,
            "mlflow.pyfunc, in process": mlflow.pyfunc.load_model(uri).predict,
            "mlflow models serve, HTTP": target.post,
        }
        yield {name: _latencies(way, images) for name, way in ways.items()}


def _latencies(way: Callable[[Images], Any], images: Images) -> dict[str, Any]:
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


def _seconds(way: Callable[[Images], Any], rows: Images) -> float:
    start = time.perf_counter()
    way(rows)
    return time.perf_counter() - start


def measure_scoring(workspace: Workspace) -> Iterator[dict[str, Any]]:
    """`digits score` for each number of rows."""
    images = workspace.trained_images(MODEL)
    uri = workspace.register(MODEL)
    yield {
        "model": MODEL,
        "score": {str(count): _score_command(workspace, uri, images, count) for count in ROWS},
    }


def _score_command(workspace: Workspace, uri: str, images: Images, count: int) -> dict[str, float]:
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
