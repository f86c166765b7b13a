"""What a service reads and keeps: its log, and a challenger that is asked after the answer."""

import signal
import time
from threading import Event

import numpy as np
import psutil
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from helpers import has_ended, linear_model, until
from packaged import RAW, THRESHOLD, altered, running, within

from imageproof.base import _inference
from imageproof.base._inference import Network
from imageproof.serve import _journal
from imageproof.serve._app import Service
from imageproof.serve._model import load
from imageproof.serve._shadow import NICENESS, PAUSE_S, QUEUE_BYTES, _answer

FIRST = "000000-00000001.parquet"


def files(folder):
    return sorted(folder.rglob("*.parquet"))


def test_log_holds_every_answer_after_repeated_sigterm(package, tmp_path):
    folder = tmp_path / "log"
    folder.mkdir(mode=0o755)
    images = package.images[1:5]
    tensor = {"name": "images", "datatype": "UINT8", "shape": [3, 8, 8]}
    request = {"inputs": [tensor | {"data": images[1:].tolist()}]}
    with running(package.folder, "--host", "::1", "--log", str(folder)) as server:
        assert server.address == f"http://[::1]:{server.port}"
        [first] = server.predict(images[:1])
        tensors = server.post("/v2/models/imageproof/infer", request).json()["outputs"]
        outputs = server.get("/v2/models/imageproof").json()["outputs"]
        while server.process.poll() is None:
            server.process.send_signal(signal.SIGTERM)
            time.sleep(0.01)
    names = [tensor["name"] for tensor in tensors]
    assert names == [output["name"] for output in outputs]
    at = [first["at"], *tensors[names.index("at")]["data"]]
    assert at == sorted({*at})
    [path] = files(folder)
    assert path.parent.name == at[0][:10]
    assert [part.stat().st_mode & 0o777 for part in (path, path.parent)] == [0o600, 0o700]
    table = pq.read_table(path, partitioning=None).to_pandas()
    assert table["at"].dt.strftime("%Y-%m-%dT%H:%M:%S.%fZ").tolist() == at
    expected = package.probabilities[1:5]
    assert np.abs(table.filter(regex="^p[0-9]") - expected).max(axis=None) < 1e-6
    columns = ["image", "predicted", "set_size", "model"]
    sizes = (expected >= np.float32(THRESHOLD)).sum(axis=1)
    rows = zip(map(bytes, images), expected.argmax(axis=1), sizes, strict=True)
    assert table[columns].to_numpy().tolist() == [[*row, "imageproof 7"] for row in rows]


@pytest.fixture
def log(package, tmp_path):
    return _journal.Journal(tmp_path, package.description, 1)


def add(log, package, count=1):
    return log.add(package.images[:count], package.probabilities[:count])


def test_rows_wait_while_the_disk_is_full(disk, package, capfd, monkeypatch):
    monkeypatch.setattr(_journal, "FLUSH_BYTES", 1)
    rubbish = disk / "rubbish"
    rubbish.write_bytes(bytes(60_000))
    start = f"warning: {disk}/log: [Errno 28] No space left on device: "
    with _journal.Journal(disk / "log", package.description, 1) as log:
        add(log, package, 20)
        assert until(lambda: log.lost == 20)
        rubbish.unlink()
    [path] = files(disk)
    assert (pq.read_metadata(path).num_rows, log.lost) == (20, 0)
    [line] = capfd.readouterr().err.splitlines()
    assert line.startswith(start)


def test_rows_that_are_lost_at_the_end_are_counted(log, package, tmp_path, capfd):
    with log:
        add(log, package, 20)
        tmp_path.rmdir()
        tmp_path.touch()
    assert capfd.readouterr().err.splitlines()[-1].endswith(": 20 rows of the log are lost")


def test_disk_that_hangs_fills_no_memory(log, package, tmp_path, monkeypatch):
    resumed = Event()
    write = pq.write_table

    def hanging(*arguments, **options):
        assert resumed.wait(60)
        write(*arguments, **options)

    monkeypatch.setattr(_journal.pq, "write_table", hanging)
    monkeypatch.setattr(_journal, "FLUSH_BYTES", 1)
    monkeypatch.setattr(_journal, "MAX_HELD", 5_000)  # of two requests
    with log, within(Service(load(package.folder), log).app()) as client:
        for _ in range(10):
            client.predict(package.images[:20])
        lost = client.metrics()["imageproof_log_lost_rows"]
        resumed.set()
    assert 100 <= lost < 200
    assert sum(pq.read_metadata(path).num_rows for path in files(tmp_path)) == 200 - lost


def test_clock_that_is_put_back(log, package, tmp_path, monkeypatch):
    day = 86_400_000_000_000
    monkeypatch.setattr(_journal.time, "time_ns", iter([9 * day, 2 * day]).__next__)
    with log:
        add(log, package)
        assert add(log, package).item().day == 10
    assert [path.parent.name for path in files(tmp_path)] == ["1970-01-10"]


def test_oldest_files_go_but_no_links(log, tmp_path, monkeypatch):
    foreign = tmp_path.with_name("foreign")
    days = ["2001-01-02", "2001-01-03", "2001-01-04"]
    for folder in (foreign, *map(tmp_path.joinpath, days)):
        folder.mkdir()
        (folder / FIRST).write_bytes(bytes(1000))
    (tmp_path / "2001-01-01").symlink_to(foreign)
    link = tmp_path / days[0] / "000000-00000000.parquet"
    link.symlink_to(foreign / FIRST)
    mine = tmp_path / days[0] / "mine.parquet"
    mine.touch()
    monkeypatch.setattr(_journal, "MAX_BYTES", 2500)
    with log:  # also without requests
        pass
    assert files(tmp_path) == [link, mine, *(tmp_path / day / FIRST for day in days[1:])]
    assert (foreign / FIRST).exists()


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


def test_challenger_without_a_log_is_named(challenged):
    line = "warning: without --log the challenger is not asked"
    with running(challenged, warning=line):
        pass


def test_challenger_is_asked_after_the_answer(challenged, package, tmp_path):
    with running(challenged, "--log", str(tmp_path)) as server:
        for _ in range(4):
            check(server, package)
        assert counted(server) == [800, 0]
        [process] = children(server)
        niceness = min(19, psutil.Process(server.process.pid).nice() + NICENESS)
        assert until(lambda: process.nice() == niceness)
        time.sleep(4 * PAUSE_S)  # it gets images a little later
        assert until(lambda: is_idle(process), seconds=60)
    assert has_ended(process.pid)
    champion = table(tmp_path)
    challenger = table(tmp_path / "shadow")
    shared = ["at", "server"]
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


def test_challenger_that_fails_for_an_image():
    def predict(images):
        if (images == 255).any():
            raise ValueError("no such pixel")
        return np.full((len(images), 10), 0.1, np.float32)

    images = np.zeros((3, 8, 8), np.uint8)
    images[1] = 255
    answers = _answer(Network((8, 8), 10, predict), images)
    assert np.isnan(answers).all(axis=1).tolist() == [False, True, False]


def test_challenger_that_hangs(challenged, package, tmp_path):
    rows = 5 * len(package.images)
    times = QUEUE_BYTES // (rows * 64)  # 72 bytes of an image wait
    line = "warning: the challenger was killed: it did not end in 10 s; its log may lack rows"
    with running(challenged, "--log", str(tmp_path), warning=line) as server:
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
    line = "warning: the challenger has ended (exit code -9): it is asked no more"
    with running(challenged, "--log", str(tmp_path), warning=line) as server:
        check(server, package)
        [process] = children(server)
        process.send_signal(signal.SIGKILL)
        assert until(lambda: has_ended(process.pid))
        for _ in range(5):
            check(server, package)
        assert counted(server) == [200, 1000]
    assert table(tmp_path)["shadow"].sum() == 200
