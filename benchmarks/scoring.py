"""What it takes to score few and many images, and to answer several clients at once."""

import json
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.inference import post, served
from benchmarks.workspace import Workspace

ROWS = (10_000, 1_000_000)
REQUESTS = 1000
CLIENTS = 8
POLL_S = 0.05


def measure(
    workspace: Workspace, model: str, *, rows: tuple[int, ...], requests: int
) -> dict[str, Any]:
    """`digits score` for each number of rows, and requests of one image by 8 clients at once."""
    uri = _registered(workspace, model)
    with np.load(workspace.root / "artifacts/split/test.npz") as arrays:
        images = arrays["images"]
    return {
        "model": model,
        "score": {str(count): _scored(workspace, uri, images, count) for count in rows},
        "serve": _answered(workspace, uri, images[np.arange(requests) % len(images)]),
    }


def _registered(workspace: Workspace, model: str) -> str:
    """The address of the last training as a version; whether it is worth promoting is not asked."""
    import mlflow

    from digits.registry.versions import Registry, Trained

    path = workspace.root / f"artifacts/train/{model}/run.json"
    record = json.loads(path.read_text("utf-8"))
    mlflow.set_tracking_uri(f"sqlite:///{workspace.root}/mlflow.db")
    registry = Registry("digits")
    return registry.uri(registry.register(Trained(record["run_id"], record["model_id"])))


def _scored(workspace: Workspace, uri: str, images: np.ndarray, count: int) -> dict[str, float]:
    """Seconds of the whole command, rows per second of its predictions, peak memory in 10⁶ bytes.

    The images are repeated to `count` rows.
    """
    path = workspace.root / "rows.npz"
    np.savez(path, images=np.resize(images, (count, *images.shape[1:])))
    command = ["digits", "score", str(path), "--model", uri, "--json"]
    start = time.perf_counter()
    process = subprocess.Popen(
        command, cwd=workspace.root, env=workspace.environment(), stdout=subprocess.PIPE, text=True
    )
    with ThreadPoolExecutor(1) as pool:
        output = pool.submit(process.communicate)
        peak_mb = 0.0
        while process.poll() is None:
            peak_mb = max(peak_mb, _peak_mb(process.pid))
            time.sleep(POLL_S)
        printed, _ = output.result()
    if process.returncode:
        raise RuntimeError(f"{' '.join(command)} ended with {process.returncode}")
    path.unlink()
    return {
        "wall_s": time.perf_counter() - start,
        "rows_per_s": json.loads(printed)["rows_per_s"],
        "peak_mb": peak_mb,
    }


def _peak_mb(pid: int) -> float:
    """The most that the process has held so far; 0 if it has ended.

    What wait4 tells of a child includes the memory of the process that started it.
    """
    try:
        lines = Path(f"/proc/{pid}/status").read_text("utf-8").splitlines()
    except OSError:
        return 0.0
    return max(
        (int(line.split()[1]) * 1024 / 1e6 for line in lines if line.startswith("VmHWM")),
        default=0.0,
    )


def _answered(workspace: Workspace, uri: str, images: np.ndarray) -> dict[str, float]:
    """Errors, and p50 and p95 in ms, where 8 clients ask for one image at a time."""
    with served(workspace, uri) as address, ThreadPoolExecutor(CLIENTS) as clients:
        list(clients.map(lambda image: _seconds(address, image), images[: 2 * CLIENTS]))
        start = time.perf_counter()
        seconds = list(clients.map(lambda image: _seconds(address, image), images))
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


def _seconds(address: str, image: np.ndarray) -> float | None:
    """Until the answer; None if it is no list of probabilities for one image."""
    start = time.perf_counter()
    try:
        [probabilities] = post(address, image[np.newaxis])["predictions"]
    except (OSError, ValueError, KeyError):
        return None
    return time.perf_counter() - start if len(probabilities) > 1 else None
