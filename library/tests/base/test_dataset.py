"""Images and labels in memory, and the bytes they become."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from helpers import finding
from numpy.testing import assert_array_equal

from imageproof.artifacts import WORKSPACE
from imageproof.base._dataset import Split, load_split, save_split
from imageproof.base.errors import DataError
from imageproof.base.files import write_json
from imageproof.data.packed import SUMMARY


@pytest.fixture
def part(images_8x8):
    rows = np.array([7, 3, 1700])
    return Split(images_8x8.take(rows), rows)


def test_a_split_comes_back_as_it_was_written(tmp_path, part):
    path = tmp_path / "train.npz"
    save_split(path, part)
    assert load_split(path).data.groups is None
    data = replace(part.data, groups=np.array([4, 0, 4]))
    save_split(path, Split(data, part.rows))
    loaded, rows = load_split(path)
    assert_array_equal(rows, part.rows, strict=True)
    for key in ("images", "labels", "groups"):
        assert_array_equal(getattr(loaded, key), getattr(data, key), strict=True)
    assert_array_equal(loaded.take(np.array([2, 1])).groups, [4, 0])


def test_equal_splits_are_equal_bytes(tmp_path, part, images_8x8, monkeypatch):
    save_split(tmp_path / "one.npz", part)
    monkeypatch.setattr("time.time", lambda: 2e9)
    picked = Split(images_8x8, part.rows)
    save_split(tmp_path / "two.npz", picked, picks=part.rows)
    assert (tmp_path / "one.npz").read_bytes() == (tmp_path / "two.npz").read_bytes()


def test_a_missing_damaged_or_empty_split_is_one_line(tmp_path, part):
    path = tmp_path / "train.npz"
    assert "`dvc repro split` makes it" in finding(DataError, load_split, path)
    save_split(path, part, picks=np.arange(0))
    assert "no images" in finding(DataError, load_split, path)
    content = path.read_bytes()
    for damaged in (content[:-100], content[:60] + bytes(10) + content[70:]):
        path.write_bytes(damaged)
        assert finding(DataError, load_split, path).startswith(f"{path}: cannot be ")


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"images": np.full((3, 8, 8), None)}, "images.npy is object; uint8"),
        ({"labels": np.array([0, 1])}, "images (n, …) have labels"),
    ],
)
def test_a_split_of_other_arrays_is_one_line(tmp_path, part, changes, reason):
    path = tmp_path / "train.npz"
    arrays = {"images": part.data.images, "labels": part.data.labels, "rows": part.rows}
    np.savez(path, **arrays | changes)
    line = finding(DataError, load_split, path)
    assert line.startswith(f"{path}: cannot be read as a split: {reason}")


def test_labels_of_a_split_are_classes(workspace, part):
    WORKSPACE.split("train").parent.mkdir(parents=True)
    save_split(WORKSPACE.split("train"), part)
    assert len(WORKSPACE.read_split("train", classes=10).rows) == 3
    highest = part.data.labels.max()
    line = finding(DataError, WORKSPACE.read_split, "train", classes=highest)
    assert f"has label {highest}, params.yaml {highest} classes" in line


def test_classes_have_names(workspace):
    for param, in_data, names in (
        ("abc", "xyz", "abc"),
        (None, "xyz", "xyz"),
        (None, "xy", "012"),  # packed before params.yaml was changed
    ):
        summary = {"class_names": [*in_data], "sources": {}}
        write_json(WORKSPACE.pack / SUMMARY, summary)
        assert WORKSPACE.class_names(3, param and [*param]) == [*names]


def test_images_are_named_by_file_or_by_row(workspace):
    WORKSPACE.pack.mkdir(parents=True)
    rows = [("train", "data/a", "0"), ("test", "data/b", "0"), ("test", "data/b", "1")]
    table = pd.DataFrame(rows, columns=["part", "file", "name"])
    table.to_parquet(WORKSPACE.packed_rows)
    assert WORKSPACE.names_of([2, 1]) == ("rows of test in data/b, counted from 0", ["1", "0"])
    kind = "rows of train in data/a and test in data/b, counted from 0"
    assert WORKSPACE.names_of([0, 1]) == (kind, ["train 0", "test 0"])
    table.assign(name=table["file"]).to_parquet(WORKSPACE.packed_rows)
    assert WORKSPACE.names_of([1]) == ("named by their files in data", ["data/b"])
