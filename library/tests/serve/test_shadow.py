"""A package that asks a challenger, too: whatever that does, the answers stay and come in time."""

import signal
import time

import numpy as np
import psutil
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from helpers import has_ended, linear_model, until
from packaged import RAW, altered, running

from imageproof.base import _inference
from imageproof.serve._shadow import NICENESS, PAUSE_S, QUEUE_BYTES

KERNEL = np.random.default_rng(1).normal(0, 0.01, (64, 10)).astype(np.float32)
KERNEL[20, 0] = 1e38  # NaN for a bright pixel there


@pytest.fixture(scope="module")
def challenged(package, tmp_path_factory):
    """A package whose challenger is version 8."""
    network = linear_model(KERNEL, np.zeros(10, np.float32), (8, 8))
    description = package.description.model_copy(update={"version": "8"})
    text = description.model_dump_json().encode()
    files = {"shadow.onnx": network.SerializeToString(), "shadow.json": text}
    return altered(package, tmp_path_factory.mktemp("challenged") / "package", files)


def check(server, package, times=1):
    """Ask for all images of the package, so many times in one request."""
    answers = server.predict(np.tile(package.images, (times, 1, 1)))
    probabilities = np.float32([answer["probabilities"] for answer in answers])
    assert np.abs(probabilities - np.tile(package.probabilities, (times, 1))).max() < 1e-6


def counted(server):
    """How many images the challenger was asked for, and how many were left out."""
    metrics = server.metrics()
    names = ("asked", "left_out")
    return [metrics[f'imageproof_shadow_total{{outcome="{name}"}}'] for name in names]


def children(server):
    return psutil.Process(server.process.pid).children()


def is_idle(process):
    """Whether it sleeps at 20 moments; between batches it rests for a tenth of a second."""
    for _ in range(20):
        time.sleep(0.1)
        if process.status() != psutil.STATUS_SLEEPING:
            return False
    return True


def table(folder):
    """The rows of all files in one folder of a log, in order of time."""
    tables = [pq.read_table(path, partitioning=None) for path in folder.glob("2*/*")]
    return pa.concat_tables(tables).to_pandas().sort_values("at", ignore_index=True)


def test_challenger_is_asked_after_the_answer(challenged, package, tmp_path):
    with running(challenged, "--log", str(tmp_path)) as server:
        for _ in range(4):
            check(server, package)
        assert counted(server) == [800, 0]
        assert until((tmp_path / "shadow").exists)
        [process] = children(server)
        assert process.nice() == min(19, psutil.Process(server.process.pid).nice() + NICENESS)
        time.sleep(4 * PAUSE_S)  # it gets images a little later
        assert until(lambda: is_idle(process), seconds=60)
    assert has_ended(process.pid)
    champion = table(tmp_path)
    challenger = table(tmp_path / "shadow")
    shared = ["at", "server", "shadow"]
    assert challenger[shared].equals(champion[shared])
    assert champion["shadow"].all()
    assert {*challenger["model"]} == {"imageproof 8"}
    assert "image" not in challenger
    network = _inference.load(challenged / "shadow.onnx", threads=1)
    expected = network.predict(np.tile(package.images, (4, 1, 1)))
    actual = challenger.filter(regex="^p[0-9]")
    assert np.allclose(actual, expected, rtol=0, atol=1e-6, equal_nan=True)
    has_none = np.isnan(expected).any(axis=1)
    assert 0 < has_none.sum() < len(has_none)
    assert challenger["predicted"].tolist() == np.where(has_none, -1, expected.argmax(1)).tolist()


def test_challenger_that_hangs(challenged, package, tmp_path):
    rows = 5 * len(package.images)
    times = QUEUE_BYTES // (rows * 64)  # 72 bytes of an image wait
    with running(challenged, "--log", str(tmp_path)) as server:
        [process] = children(server)
        process.send_signal(signal.SIGSTOP)
        for _ in range(times - 1):
            assert server.post("/predict", package.images.tobytes() * 5, RAW).ok
        check(server, package, 5)
        asked, left_out = counted(server)
        assert asked + left_out == rows * times
        assert asked * 72 > QUEUE_BYTES - rows * 72
        assert left_out > 0
        assert psutil.Process(server.process.pid).memory_info().rss < 5e8
    assert has_ended(process.pid)
    assert len(table(tmp_path)) == rows * times


def test_challenger_that_dies(challenged, package, tmp_path):
    with running(challenged, "--log", str(tmp_path)) as server:
        check(server, package)
        [process] = children(server)
        process.send_signal(signal.SIGKILL)
        assert until(lambda: has_ended(process.pid))
        check(server, package, 5)
        assert counted(server) == [200, 1000]
    assert table(tmp_path)["shadow"].sum() == 200
