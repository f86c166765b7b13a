"""The log of what was asked: complete, bounded, and no reason for a request to fail."""

import signal
import time
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from packaged import THRESHOLD, running

from imageproof.serve import journal

DAY = "2001-01-02"
FIRST, SECOND = "000000-00000000.parquet", "111111-00000000.parquet"


def files(folder):
    return sorted(folder.rglob("*.parquet"))


def test_log_holds_every_answer(package, tmp_path):
    folder = tmp_path / "log"
    folder.mkdir(mode=0o755)
    images = package.images[1:5]
    tensor = {"name": "images", "datatype": "UINT8", "shape": [3, 8, 8]}
    request = {"inputs": [tensor | {"data": images[1:].tolist()}]}
    with running(package.folder, "--log", str(folder)) as server:
        [first] = server.predict(images[:1])
        tensors = server.post("/v2/models/imageproof/infer", request).json()["outputs"]
        outputs = server.get("/v2/models/imageproof").json()["outputs"]
    assert [tensor["name"] for tensor in tensors] == [output["name"] for output in outputs]
    assert tensors[-1]["name"] == "at"
    at = [first["at"], *tensors[-1]["data"]]
    assert at == sorted({*at})
    [path] = files(folder)
    table = pq.read_table(path, partitioning=None)
    assert [f"{time:%Y-%m-%dT%H:%M:%S.%f}Z" for time in table["at"].to_pylist()] == at
    assert path.parent.name == at[0][:10]
    assert [part.stat().st_mode & 0o777 for part in (path, path.parent)] == [0o600, 0o700]
    assert table["image"].to_pylist() == [image.tobytes() for image in images]
    expected = package.probabilities[1:5]
    actual = np.stack([table[f"p{k}"].to_numpy() for k in range(10)], axis=1)
    assert np.abs(actual - expected).max() < 1e-6
    assert table["predicted"].to_pylist() == expected.argmax(axis=1).tolist()
    assert table["set_size"].to_pylist() == (expected >= np.float32(THRESHOLD)).sum(1).tolist()
    assert table["model"].to_pylist() == ["imageproof 7"] * 4
    assert str(table.schema.field("at").type) == "timestamp[us, tz=UTC]"


def test_log_is_whole_after_repeated_sigterm(package, tmp_path):
    with running(package.folder, "--log", str(tmp_path)) as server:
        server.predict(package.images)
        while server.process.poll() is None:
            server.process.send_signal(signal.SIGTERM)
            time.sleep(0.01)
    assert len(pq.read_table(tmp_path)) == len(package.images)


@pytest.fixture
def log(package, tmp_path):
    return journal.Journal(tmp_path, package.description)


def test_full_disk_is_a_warning(log, package, tmp_path, capfd):
    (tmp_path / f"{datetime.now(UTC):%Y-%m-%d}").touch()  # where a folder must be
    with log:
        log.add(package.images, package.probabilities)
    assert capfd.readouterr().err.startswith(f"warning: {tmp_path}: ")
    assert files(tmp_path) == []


def test_oldest_files_go(log, package, tmp_path, monkeypatch):
    for day in ("2001-01-01", DAY, "2001-01-03"):
        (tmp_path / day).mkdir()
        (tmp_path / day / FIRST).write_bytes(b"x" * 1000)
    for name in ("2001-01-01/notes.txt", "2001-01-01/mine.parquet", "mine.parquet"):
        (tmp_path / name).touch()
    monkeypatch.setattr(journal, "MAX_BYTES", 2500)
    with log:  # also without requests
        pass
    assert sorted(path.parent.name for path in tmp_path.rglob(FIRST)) == [DAY, "2001-01-03"]
    monkeypatch.setattr(journal, "MAX_BYTES", 0)
    with journal.Journal(tmp_path, package.description) as again:
        again.add(package.images, package.probabilities)
    kept = {path.name for path in tmp_path.rglob("*") if path.is_file()}
    assert kept == {"notes.txt", "mine.parquet"}


def test_links_stay(log, tmp_path, monkeypatch):
    foreign = tmp_path.with_name("foreign")
    day = tmp_path / DAY
    for folder in (foreign, day, day / FIRST):
        folder.mkdir()
    (foreign / FIRST).touch()
    (tmp_path / "2001-01-01").symlink_to(foreign)  # a linked day, a folder, a link, a real one
    (day / SECOND).symlink_to(foreign / FIRST)
    last = day / "222222-00000000.parquet"
    last.write_bytes(b"x")
    monkeypatch.setattr(journal, "MAX_BYTES", 0)
    with log:
        pass
    assert (foreign / FIRST).exists()
    assert (day / SECOND).is_symlink()
    assert not last.exists()


def test_fault_in_tidying_is_a_warning(log, tmp_path, monkeypatch, capfd):
    day = tmp_path / DAY
    day.mkdir()
    (day / FIRST).touch()
    (day / SECOND).write_bytes(b"xx")
    unlink = Path.unlink

    def failing(path):
        if path.name == SECOND:
            raise PermissionError(13, "Permission denied")
        unlink(path)

    monkeypatch.setattr(Path, "unlink", failing)
    monkeypatch.setattr(journal, "MAX_BYTES", 1)
    with log:
        pass
    assert files(tmp_path) == [day / SECOND]
    assert capfd.readouterr().err.startswith(f"warning: {day / SECOND}: ")
