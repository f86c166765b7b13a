"""A package that asks a challenger, too: whatever that does, the answers stay and come in time."""

import signal
from pathlib import Path

import numpy as np
import onnx
import psutil
import pyarrow.parquet as pq
import pytest
import requests
from helpers import has_ended, linear_model, until
from packaged import Package, Running, running

from imageproof.base import inference
from imageproof.serve import package as packaging
from imageproof.serve.shadow import QUEUE_BYTES

RAW = {"Content-Type": "application/octet-stream"}
KERNEL = np.random.default_rng(1).normal(0, 0.01, (64, 10)).astype(np.float32)


def challenged(package: Package, folder: Path, kernel: np.ndarray, last: str = "Softmax") -> Path:
    """The package with a challenger of this kernel, and its log beside it."""
    network = folder / "challenger.onnx"
    onnx.save(linear_model(kernel, np.zeros(10, np.float32), (8, 8), last), network)
    description = package.description.model_copy(update={"version": "8"})
    shadow = packaging.Challenger(network, description)
    champion = package.folder / "model.onnx"
    out = folder / "package"
    packaging.write_folder(
        out, champion, package.description, "# Card\n", package.images[:1], shadow
    )
    return out


def ask(server: Running, images: np.ndarray) -> list[np.ndarray]:
    body = images.tobytes()
    response = requests.post(f"{server.address}/predict", body, headers=RAW, timeout=60)
    assert response.status_code == 200, response.text
    return [np.float32(row["probabilities"]) for row in response.json()["predictions"]]


def check(server: Running, package: Package, rows: slice = slice(None)) -> None:
    answers = ask(server, package.images[rows])
    assert np.abs(np.array(answers) - package.probabilities[rows]).max() < 1e-6


def counted(server: Running) -> dict[str, float]:
    text = requests.get(f"{server.address}/metrics", timeout=20).text
    lines = [line for line in text.splitlines() if line.startswith("imageproof_shadow_total")]
    return {line.split('"')[1]: float(line.split()[-1]) for line in lines}


def child(server: Running) -> psutil.Process:
    [process] = psutil.Process(server.process.pid).children()
    return process


def table(folder: Path) -> dict[str, np.ndarray]:
    """The rows of all files in one folder of a log."""
    tables = [pq.read_table(path, partitioning=None) for path in sorted(folder.glob("2*/*"))]
    return {
        name: np.concatenate([part[name] for part in tables]) for name in tables[0].column_names
    }


def test_challenger_is_asked_after_the_answer(package: Package, tmp_path: Path) -> None:
    folder = challenged(package, tmp_path, KERNEL)
    with running(folder, "--log", str(tmp_path / "log")) as server:
        for start in range(0, 200, 50):
            check(server, package, slice(start, start + 50))
        assert counted(server) == {"asked": 200, "left_out": 0}
        process = child(server)
    assert has_ended(process.pid)
    champion = table(tmp_path / "log")
    challenger = table(tmp_path / "log/shadow")
    assert champion["shadow"].all()
    assert (np.sort(challenger["at"]) == np.sort(champion["at"])).all()
    assert {*challenger["model"]} == {"imageproof 8"}
    assert "image" not in challenger
    expected = inference.load(folder / "shadow.onnx", threads=1).predict(package.images)
    actual = np.stack([challenger[f"p{k}"] for k in range(10)], axis=1)
    assert np.abs(actual[np.argsort(challenger["at"])] - expected).max() < 1e-6


def test_without_a_log_it_is_not_asked(package: Package, tmp_path: Path) -> None:
    with running(challenged(package, tmp_path, KERNEL)) as server:
        check(server, package)
        assert psutil.Process(server.process.pid).children() == []
        assert counted(server) == {"asked": 0, "left_out": 0}


@pytest.mark.parametrize(("weight", "last"), [(np.nan, "Softmax"), (0.0, "Relu")])
def test_challenger_that_gives_no_probabilities(
    package: Package, tmp_path: Path, weight: float, last: str
) -> None:
    kernel = np.full((64, 10), weight, np.float32)
    folder = challenged(package, tmp_path, kernel, last)
    with running(folder, "--log", str(tmp_path / "log")) as server:
        check(server, package)
    assert {*table(tmp_path / "log/shadow")["predicted"]} == {-1}
    assert len(table(tmp_path / "log")["at"]) == 200


def test_challenger_that_dies(package: Package, tmp_path: Path) -> None:
    folder = challenged(package, tmp_path, KERNEL)
    with running(folder, "--log", str(tmp_path / "log")) as server:
        check(server, package)
        process = child(server)
        process.send_signal(signal.SIGKILL)
        assert until(lambda: has_ended(process.pid))
        for _ in range(20):
            check(server, package)
        assert counted(server) == {"asked": 200, "left_out": 4000}
    assert table(tmp_path / "log")["shadow"].sum() == 200


def test_challenger_that_hangs(package: Package, tmp_path: Path) -> None:
    folder = challenged(package, tmp_path, KERNEL)
    images = np.resize(package.images, (1000, 8, 8))
    expected = np.resize(package.probabilities, (1000, 10))
    requests_needed = QUEUE_BYTES // images.nbytes + 20
    with running(folder, "--log", str(tmp_path / "log")) as server:
        process = child(server)
        process.send_signal(signal.SIGSTOP)
        for _ in range(requests_needed):
            assert np.abs(np.array(ask(server, images)) - expected).max() < 1e-6
        counts = counted(server)
        assert sum(counts.values()) == 1000 * requests_needed
        assert counts["asked"] * 72 > QUEUE_BYTES - images.nbytes
        assert counts["left_out"] > 0
        assert psutil.Process(server.process.pid).memory_info().rss < 5e8
    assert has_ended(process.pid)
    assert len(table(tmp_path / "log")["at"]) == 1000 * requests_needed
