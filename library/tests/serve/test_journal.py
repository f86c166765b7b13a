"""The log of what was asked: complete, bounded, and no reason for a request to fail."""

from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import requests
from packaged import THRESHOLD, Package, running

from imageproof.serve import journal

OLD = "000000-00000000.parquet"
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
    (folder := tmp_path / "log").mkdir(mode=0o755)
    with running(package.folder, "--log", str(folder)) as server:
        at = [*ask(server.address, package, 1), *ask(server.address, package, 2, 3, 4)]
    [path] = files(folder)
    table = pq.read_table(path, partitioning=None)
    assert [f"{each:%Y-%m-%dT%H:%M:%S.%f}Z" for each in table["at"].to_pylist()] == at
    assert len({*at}) == 4
    assert path.parent.name == at[0][:10]
    assert [each.stat().st_mode & 0o777 for each in (path, path.parent)] == [0o600, 0o700]
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
    assert table["model"].to_pylist() == ["imageproof 7"] * 4


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


def test_oldest_files_go(
    log: journal.Journal, package: Package, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for day in ("2001-01-01", "2001-01-02", "2001-01-03"):
        (tmp_path / day).mkdir()
        (tmp_path / day / OLD).write_bytes(b"x" * 1000)
    for other in ("2001-01-01/notes.txt", "mine.parquet", "2001-01-01/mine.parquet"):
        (tmp_path / other).touch()
    monkeypatch.setattr(journal, "MAX_BYTES", 2500)
    with log:  # also without requests
        pass
    kept = [*tmp_path.rglob(OLD)]
    assert sorted(file.parent.name for file in kept) == ["2001-01-02", "2001-01-03"]
    monkeypatch.setattr(journal, "MAX_BYTES", 0)
    with journal.Journal(tmp_path, package.description) as again:
        again.add(package.images, package.probabilities)
    assert files(tmp_path) == [tmp_path / "2001-01-01/mine.parquet", tmp_path / "mine.parquet"]
    assert {each.name for each in tmp_path.glob("2*/*")} == {"notes.txt", "mine.parquet"}


def test_links_stay(log: journal.Journal, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    foreign, day = tmp_path.with_name("foreign"), tmp_path / "2001-01-02"
    for folder in (foreign, day, day / OLD):
        folder.mkdir()
    (foreign / OLD).touch()
    (foreign / "kept.parquet").write_bytes(b"x" * 1000)
    (tmp_path / "2001-01-01").symlink_to(foreign)  # a linked day, a folder, a link, a real one
    (day / OLD.replace("0", "1")).symlink_to(foreign / "kept.parquet")
    (last := day / OLD.replace("0", "2")).write_bytes(b"x")
    monkeypatch.setattr(journal, "MAX_BYTES", 0)
    with log:
        pass
    assert {path.name for path in foreign.iterdir()} == {OLD, "kept.parquet"}
    assert not last.exists()


def test_fault_in_tidying_is_a_warning(
    log: journal.Journal,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    (day := tmp_path / "2001-01-02").mkdir()
    stuck, other = day / OLD, day / OLD.replace("0", "1")
    stuck.touch()
    other.write_bytes(b"xx")
    unlink = Path.unlink

    def failing(path: Path) -> None:
        if path == other:
            raise PermissionError(13, "Permission denied")
        unlink(path)

    monkeypatch.setattr(Path, "unlink", failing)
    monkeypatch.setattr(journal, "MAX_BYTES", 1)
    with log:
        pass
    assert (stuck.exists(), other.exists()) == (False, True)
    assert capfd.readouterr().err.startswith(f"warning: {other}: ")
