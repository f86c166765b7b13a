"""The log of what was asked: complete, bounded, and no reason for a request to fail."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import requests
from packaged import THRESHOLD, Package, running

from digits.serving import journal

RAW = {"Content-Type": "application/octet-stream"}


def ask(address: str, package: Package, *rows: int) -> list[str]:
    """Ask for these rows; the `at` of each."""
    body = package.images[list(rows)].tobytes()
    response = requests.post(f"{address}/predict", body, headers=RAW, timeout=20)
    assert response.status_code == 200
    return [each["at"] for each in response.json()["predictions"]]


def files(folder: Path) -> list[Path]:
    return sorted(folder.rglob("*.parquet"))


def test_log_holds_every_answer(package: Package, tmp_path: Path) -> None:
    folder = tmp_path / "log"
    with running(package.folder, "--log", str(folder)) as server:
        at = [*ask(server.address, package, 1), *ask(server.address, package, 2, 3, 4)]
    [path] = files(folder)
    table = pq.read_table(path, partitioning=None)
    assert [f"{each:%Y-%m-%dT%H:%M:%S.%f}Z" for each in table["at"].to_pylist()] == at
    assert len({*at}) == 4
    assert path.parent.name == at[0][:10]
    rows = package.images[1:5]
    assert table["image"].to_pylist() == [image.tobytes() for image in rows]
    expected = package.probabilities[1:5]
    actual = np.stack([table[f"p{k}"].to_numpy() for k in range(10)], axis=1)
    assert np.abs(actual - expected).max() < 1e-6
    assert table["predicted"].to_pylist() == expected.argmax(axis=1).tolist()
    assert table["set_size"].to_pylist() == (expected >= np.float32(THRESHOLD)).sum(1).tolist()
    types = {"at": "timestamp[us, tz=UTC]", "image": "binary", "predicted": "int16"}
    types |= {"p9": "float", "set_size": "int16"}
    assert {name: str(table.schema.field(name).type) for name in types} == types
    assert table["model"].to_pylist() == ["digits 7"] * 4
    assert table.schema.metadata == {b"height": b"8", b"width": b"8"}


def test_without_log_nothing_is_written(package: Package, tmp_path: Path) -> None:
    before = sorted(package.folder.rglob("*.parquet"))
    with running(package.folder, HOME=str(tmp_path)) as server:
        body = package.images[:1].tobytes()
        answer = requests.post(f"{server.address}/predict", body, headers=RAW, timeout=20).json()
    assert "at" not in answer["predictions"][0]
    assert (sorted(package.folder.rglob("*.parquet")), [*tmp_path.iterdir()]) == (before, [])


@pytest.fixture
def log(package: Package, tmp_path: Path) -> journal.Journal:
    return journal.Journal(tmp_path, package.description)


def test_full_disk_is_a_warning(
    log: journal.Journal, package: Package, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / f"{datetime.now(UTC):%Y-%m-%d}").touch()  # where a folder must be
    with log:
        log.add(package.images, package.probabilities)
    assert capfd.readouterr().err.startswith(f"warning: {tmp_path}: ")
    assert files(tmp_path) == []


def test_rows_beyond_memory_are_left_out(
    log: journal.Journal,
    package: Package,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(journal, "MAX_HELD", 30_000)
    for _ in range(3):
        log.add(package.images, package.probabilities)
    with log:
        pass
    assert [pq.read_metadata(path).num_rows for path in files(tmp_path)] == [200]
    assert capfd.readouterr().err.endswith("so 400 rows are left out\n")


def test_oldest_files_go(
    log: journal.Journal, package: Package, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    today = datetime.now(UTC)
    for days in (1, 29, 31, 400):
        day = tmp_path / f"{today - timedelta(days=days):%Y-%m-%d}"
        day.mkdir()
        (day / "old.parquet").write_bytes(b"x" * 1000)
    (tmp_path / "2001-01-01").mkdir()
    (tmp_path / "2001-01-01" / "notes.txt").touch()
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "other.parquet").touch()
    with log:  # also without requests
        pass
    ages = [(today.date() - datetime.fromisoformat(path.parent.name).date()).days
            for path in files(tmp_path) if path.parent.name != "mine"]  # fmt: skip
    assert ages == [29, 1]
    monkeypatch.setattr(journal, "MAX_BYTES", 1500)
    with journal.Journal(tmp_path, package.description) as again:
        again.add(package.images[:1], package.probabilities[:1])
    assert sum(path.stat().st_size for path in files(tmp_path)) <= 1500
    assert (tmp_path / "mine" / "other.parquet").exists()
    assert (tmp_path / "2001-01-01" / "notes.txt").exists()
