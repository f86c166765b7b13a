"""Telling raw data by content, in a folder that holds anything at all."""

import gzip
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from helpers import refusal

from imageproof.data.readers.raw import read_parts

CSV = b"label,pixel0,pixel1,pixel2,pixel3\n7,0,128,255,1\n"


def test_no_data_files_name_dvc_pull(tmp_path: Path) -> None:
    (tmp_path / "folder.csv").mkdir()
    (tmp_path / ".gitignore").write_text("/train.csv\n")
    for folder in (tmp_path, tmp_path / "none", tmp_path / ".gitignore"):
        assert refusal(folder) == f"{folder}: no data files found; `dvc pull` fetches the data"


def test_pictures_without_a_class_are_refused(tmp_path: Path) -> None:
    (tmp_path / "1.jpeg").touch()
    assert f"{tmp_path}: has pictures without a class; put each into the f" in refusal(tmp_path)


def test_hidden_files_and_folders_are_ignored(tmp_path: Path) -> None:
    (tmp_path / ".gitignore").write_text("/train.csv\n")
    (tmp_path / "older").mkdir()
    (tmp_path / "older/train.csv").write_bytes(CSV)
    (tmp_path / "train.csv").write_bytes(CSV)
    [part] = read_parts(tmp_path)
    assert (part.file, len(part.data)) == (tmp_path / "train.csv", 1)


@pytest.mark.parametrize("name", ["images.npz", "train-images-idx3-ubyte.gz"])
def test_the_name_of_a_file_does_not_matter(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(CSV)
    assert read_parts(tmp_path)[0].data.images.tolist() == [[[0, 128], [255, 1]]]


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12\n",
        b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR",
    ],
)
def test_what_is_no_data_is_one_line(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "train.csv").write_bytes(content)
    line = refusal(tmp_path)
    assert line.startswith(f"{tmp_path}/train.csv:1: 1 columns ")
    assert line.endswith("; label,pixel0,pixel1,… of a square image is allowed")


def test_a_zip_archive_of_others_is_refused(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "digit-recognizer.zip", "w") as archive:
        archive.writestr("train.csv", CSV)
    assert "zip: cannot be read as npz of numbers: holds other files" in refusal(tmp_path)


def test_more_than_one_data_set_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes(CSV)
    np.savez(tmp_path / "b.npz", x_train=np.ones((1, 2, 2), np.uint8), y_train=[0])
    assert refusal(tmp_path).startswith(f"{tmp_path}: has these data sets: a.csv, b.npz; one is")


def test_a_link_to_nowhere_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "train.csv").symlink_to(tmp_path / "gone")
    assert refusal(tmp_path) == f"{tmp_path / 'train.csv'}: not found"


@pytest.mark.parametrize(
    "damage",
    [
        lambda content: content[:-10],
        lambda content: content[:-5] + bytes([content[-5] ^ 1]) + content[-4:],
    ],
    ids=["cut off", "flipped bit in the length"],
)
def test_a_damaged_gzip_is_one_line(tmp_path: Path, damage: Callable[[bytes], bytes]) -> None:
    path = tmp_path / "train.csv.gz"
    path.write_bytes(damage(gzip.compress(CSV)))
    assert refusal(tmp_path).startswith(f"{path}: cannot be read as raw data: ")


def test_gigabytes_in_a_small_gzip_are_not_unpacked(tmp_path: Path) -> None:
    path = tmp_path / "train.csv"
    path.write_bytes(gzip.compress(bytes(16 << 20)) * 20)
    assert "unpacks to over 256 MB and 50 times its size" in refusal(tmp_path)
