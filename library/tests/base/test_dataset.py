"""Images and labels in memory, and the bytes they become."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from helpers import finding

from imageproof.artifacts import WORKSPACE
from imageproof.base.dataset import Dataset, Split, load_split, save_arrays, save_split
from imageproof.base.errors import DataError
from imageproof.base.files import write_json
from imageproof.data.packed import ROWS, SUMMARY


@pytest.fixture
def part(images_8x8: Dataset) -> Split:
    rows = np.array([7, 3, 1700])
    return Split(images_8x8.take(rows), rows)


def test_a_split_comes_back_as_it_was_written(tmp_path: Path, part: Split) -> None:
    save_split(tmp_path / "train.npz", part)
    data, rows = load_split(tmp_path / "train.npz")
    was = part.data
    for found, written in zip(
        (data.images, data.labels, rows), (was.images, was.labels, part.rows), strict=True
    ):
        np.testing.assert_array_equal(found, written)
        assert found.dtype == written.dtype


def test_groups_of_a_split_come_back(tmp_path: Path, part: Split) -> None:
    groups = np.array([4, 0, 4])
    save_split(tmp_path / "train.npz", Split(replace(part.data, groups=groups), part.rows))
    data, _ = load_split(tmp_path / "train.npz")
    np.testing.assert_array_equal(data.groups, groups)
    np.testing.assert_array_equal(data.take(np.array([2, 1])).groups, [4, 0])
    save_split(tmp_path / "alone.npz", part)
    assert load_split(tmp_path / "alone.npz").data.groups is None


def test_equal_splits_are_equal_bytes(
    tmp_path: Path, part: Split, images_8x8: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    save_split(tmp_path / "one.npz", part)
    monkeypatch.setattr("time.time", lambda: 2e9)
    picked = Split(images_8x8, part.rows)
    save_split(tmp_path / "two.npz", picked, picks=part.rows)
    assert (tmp_path / "one.npz").read_bytes() == (tmp_path / "two.npz").read_bytes()
    save_arrays(tmp_path / "zeros.npz", {"zeros": np.zeros(10_000)})
    assert (tmp_path / "zeros.npz").stat().st_size < 8_000


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
    assert "`dvc repro split` makes it" in finding(DataError, lambda: load_split(path))
    save_split(path, part)
    path.write_bytes(damage(path.read_bytes()))
    assert finding(DataError, lambda: load_split(path)).startswith(f"{path}: cannot be ")


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda images, labels, rows: (images / 255, labels, rows), "images.npy is float64"),
        (lambda images, labels, rows: (images[0], labels, rows), "(8,) is no image"),
        (lambda images, labels, rows: (images[:0], labels[:0], rows[:0]), "no images"),
        (lambda images, labels, rows: (images, labels[:2], rows), "images uint8 (n, …), labels"),
        (lambda images, labels, rows: (images, labels, rows - 9), "row number below 0"),
        (lambda images, labels, rows: (images, labels), "no item named 'rows.npy'"),
    ],
)
def test_a_split_of_other_arrays_is_one_line(tmp_path: Path, part: Split, change, reason) -> None:
    path = tmp_path / "train.npz"
    arrays = change(part.data.images, part.data.labels, part.rows)
    np.savez(path, **dict(zip(("images", "labels", "rows"), arrays, strict=False)))
    line = finding(DataError, lambda: load_split(path))
    assert line.startswith(f"{path}: cannot be read as a split: ")
    assert reason in line


def test_labels_of_a_split_are_classes(workspace: Path, part: Split) -> None:
    WORKSPACE.split("train").parent.mkdir(parents=True)
    save_split(WORKSPACE.split("train"), part)
    assert len(WORKSPACE.read_split("train", classes=10).rows) == 3
    highest = part.data.labels.max()
    line = finding(DataError, lambda: WORKSPACE.read_split("train", classes=highest))
    assert f"has label {highest}, params.yaml {highest} classes" in line


def test_pickled_objects_are_never_read(tmp_path: Path) -> None:
    path = tmp_path / "train.npz"
    np.savez(path, images=np.array([print], dtype=object))
    assert "images.npy is object; uint8 is needed" in finding(DataError, lambda: load_split(path))


@pytest.mark.parametrize(
    ("given", "found", "names"),
    [
        (None, None, ["0", "1", "2"]),
        (["a", "b", "c"], ["x", "y", "z"], ["a", "b", "c"]),
        (None, ["x", "y", "z"], ["x", "y", "z"]),
        (None, ["x", "y"], ["0", "1", "2"]),  # packed before params.yaml was changed
    ],
)
def test_classes_have_names(workspace: Path, given, found, names) -> None:
    write_json(WORKSPACE.pack / SUMMARY, {"class_names": found, "sources": {}})
    assert WORKSPACE.class_names(3, given) == names


def test_images_are_named_by_file_or_by_row(workspace: Path) -> None:
    WORKSPACE.pack.mkdir(parents=True)
    files = pd.DataFrame({"file": ["data/a"] * 3 + ["data/b"] * 2})
    files["name"] = ["row 0", "row 1", "row 2", "row 0", "row 1"]
    files.to_parquet(WORKSPACE.pack / ROWS)
    names = ["row 1", "row 0"]
    assert WORKSPACE.names_of(np.array([4, 3])) == ("rows of data/b, counted from 0", names)
    pictures = [*"abcde"]
    files.assign(name=pictures, file=pictures).to_parquet(WORKSPACE.pack / ROWS)
    assert WORKSPACE.names_of(np.array([2, 4])) == ("named by their files in data", ["c", "e"])
    heading, _ = WORKSPACE.names_of(np.array([2]))  # of a single mistake, too
    assert heading == "named by their files in data"
