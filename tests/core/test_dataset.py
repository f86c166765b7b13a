"""Images and labels in memory, and the bytes they become."""

import zipfile
from pathlib import Path

import numpy as np
import pytest
from support import finding

from digits.core.artifacts import read_split, split_path
from digits.core.dataset import DataParams, Dataset, Split, load_split, save_arrays, save_split
from digits.core.errors import DataError


@pytest.fixture
def part(digits_8x8: Dataset) -> Split:
    rows = np.array([7, 3, 1700])
    return Split(digits_8x8.take(rows), rows)


def test_a_split_comes_back_as_it_was_written(tmp_path: Path, part: Split) -> None:
    save_split(tmp_path / "train.npz", part)
    data, rows = load_split(tmp_path / "train.npz")
    for found, written in (
        (data.images, part.data.images),
        (data.labels, part.data.labels),
        (rows, part.rows),
    ):
        np.testing.assert_array_equal(found, written)
        assert found.dtype == written.dtype


def test_equal_splits_are_equal_bytes(
    tmp_path: Path, part: Split, monkeypatch: pytest.MonkeyPatch
) -> None:
    save_split(tmp_path / "one.npz", part)
    monkeypatch.setattr("time.time", lambda: 2e9)
    save_split(tmp_path / "two.npz", part)
    assert (tmp_path / "one.npz").read_bytes() == (tmp_path / "two.npz").read_bytes()


def test_a_missing_split_names_the_command_that_makes_it(tmp_path: Path) -> None:
    path = tmp_path / "train.npz"
    assert finding(DataError, lambda: load_split(path)) == (
        f"{path}: not found; `dvc repro split` makes it"
    )


@pytest.mark.parametrize(
    "damage",
    [
        lambda content: b"",
        lambda content: content[:-100],
        lambda content: content[:60] + bytes(10) + content[70:],
    ],
    ids=["empty", "cut off", "changed bytes"],
)
def test_a_damaged_split_is_one_line(tmp_path: Path, part: Split, damage) -> None:
    path = tmp_path / "train.npz"
    save_split(path, part)
    path.write_bytes(damage(path.read_bytes()))
    assert finding(DataError, lambda: load_split(path)).startswith(f"{path}: not a split file (")


@pytest.mark.parametrize(
    "change",
    [
        lambda images, labels, rows: (images / 255, labels, rows),
        lambda images, labels, rows: (images[0], labels, rows),
        lambda images, labels, rows: (images[:0], labels[:0], rows[:0]),
        lambda images, labels, rows: (images, labels[:2], rows),
        lambda images, labels, rows: (images, labels - 9, rows),
        lambda images, labels, rows: (images, labels.astype(np.uint64), rows),
        lambda images, labels, rows: (images, labels, rows - 9),
        lambda images, labels, rows: (images, labels),
    ],
)
def test_a_split_of_other_arrays_is_one_line(tmp_path: Path, part: Split, change) -> None:
    path = tmp_path / "train.npz"
    arrays = change(part.data.images, part.data.labels, part.rows)
    save_arrays(path, dict(zip(("images", "labels", "rows"), arrays, strict=False)))
    line = finding(DataError, lambda: load_split(path))
    assert line.startswith(f"{path}: not a split file (")
    assert line.endswith("); `dvc repro -f` makes it anew")


def test_labels_of_a_split_are_classes(workspace: Path, part: Split) -> None:
    split_path("train").parent.mkdir(parents=True)
    save_split(split_path("train"), part)
    assert len(read_split("train", classes=10).rows) == 3
    highest = part.data.labels.max()
    assert finding(DataError, lambda: read_split("train", classes=highest)) == (
        f"artifacts/split/train.npz: has label {highest}, params.yaml {highest} classes;"
        " set data.classes, or `dvc repro -f split` makes it anew"
    )


def test_pickled_objects_are_never_read(tmp_path: Path) -> None:
    path = tmp_path / "train.npz"
    np.savez(path, images=np.array([print], dtype=object))
    assert "allow_pickle=False" in finding(DataError, lambda: load_split(path))


def test_arrays_are_compressed(tmp_path: Path) -> None:
    save_arrays(tmp_path / "zeros.npz", {"zeros": np.zeros(10_000)})
    [member] = zipfile.ZipFile(tmp_path / "zeros.npz").infolist()
    assert member.compress_size < member.file_size / 10


@pytest.mark.parametrize(
    ("given", "names"), [(None, ["0", "1", "2"]), (["a", "b", "c"], ["a", "b", "c"])]
)
def test_classes_have_names(given: list[str] | None, names: list[str]) -> None:
    assert DataParams(percent=100, classes=3, class_names=given, picture="digit").names == names
