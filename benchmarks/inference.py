"""How fast a trained model answers one caller: in process and over HTTP."""

import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from benchmarks.markdown import table
from benchmarks.servers import mlflow_server
from benchmarks.workspace import Workspace
from imageproof.base._dataset import Images

MODEL = "compact"
CALLS = {1: 100, 1000: 10}  # by the number of images in each
WARM_UP_CALLS = 3


def measure_inference(workspace: Workspace) -> Iterator[dict[str, Any]]:
    """p50 and p95 in ms, and images per second, of each way to ask one and 1,000 images."""
    import keras
    import mlflow

    from imageproof.base import _inference

    workspace.pull()
    images = workspace.images("test")[:1000]
    uri = workspace.register(MODEL)
    mlflow.set_tracking_uri(workspace.store)
    outputs = workspace.outputs(MODEL)
    keras_model = keras.saving.load_model(outputs.keras, compile=False)
    with mlflow_server(workspace, uri) as target:
        ways: dict[str, Callable[[Images], Any]] = {
            "keras model.predict": lambda rows: keras_model.predict(rows, verbose=0),
            "digits, ONNX Runtime": _inference.load(
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


def inference_section(part: dict[str, Any]) -> str:
    sizes = list(next(iter(part.values())))
    head = ["`compact` asked by"]
    head += [
        f"{size} at once: {what}" for size in sizes for what in ("p50 ms", "p95 ms", "images/s")
    ]
    body = [
        [name]
        + [
            text
            for size in sizes
            for text in (
                f"{row[size]['p50_ms']:.1f}",
                f"{row[size]['p95_ms']:.1f}",
                f"{row[size]['images_per_s']:,.0f}",
            )
        ]
        for name, row in part.items()
    ]
    return f"""## Inference

One caller, who asks for one image or 1,000 at once, and then again.

{table(head, body)}"""
