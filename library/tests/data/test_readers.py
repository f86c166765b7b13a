"""Telling raw data by content, in a folder that holds anything at all."""

import gzip
import zipfile

import numpy as np
import pytest
from helpers import read_raw, refusal

from imageproof.base import dataset

CSV = b"label,pixel0,pixel1,pixel2,pixel3\n7,0,128,255,1\n"


@pytest.mark.parametrize("folder", ["", "none", ".gitignore"])
def test_no_data_files_name_dvc_pull(tmp_path, folder):
    (tmp_path / "folder.csv").mkdir()
    (tmp_path / ".gitignore").write_text("/train.csv\n")
    path = tmp_path / folder
    assert refusal(path) == f"{path}: no data files found; `dvc pull` fetches the data"


def test_pictures_without_a_class_are_refused(tmp_path):
    (tmp_path / "1.jpeg").touch()
    assert refusal(tmp_path).startswith(f"{tmp_path}: has pictures without a class; put each ")


@pytest.mark.parametrize("name", ["images.npz", "train-images-idx3-ubyte.gz"])
def test_content_alone_tells_the_format(tmp_path, name):
    (tmp_path / ".gitignore").write_text("/train.csv\n")
    (tmp_path / "older").mkdir()
    for path in ("older/train.csv", name):
        (tmp_path / path).write_bytes(CSV)
    assert read_raw(tmp_path).train.images.tolist() == [[[0, 128], [255, 1]]]


@pytest.mark.parametrize("content", [b"", b"version https://git-lfs.github.com/spec/v1\n"])
def test_what_is_no_data_is_one_line(tmp_path, content):
    (tmp_path / "train.csv").write_bytes(content)
    line = refusal(tmp_path)
    assert line.startswith(f"{tmp_path}/train.csv:1: 1 columns ")
    assert line.endswith("; label,pixel0,pixel1,… of a square image is allowed")


def test_more_than_one_data_set_is_refused(tmp_path):
    for name in ("a.csv", "b.npz"):
        (tmp_path / name).write_bytes(CSV)
    assert refusal(tmp_path).startswith(f"{tmp_path}: has these data sets: a.csv, b.npz; one is")


def test_a_link_to_nowhere_is_one_line(tmp_path):
    (tmp_path / "train.csv").symlink_to(tmp_path / "gone")
    assert refusal(tmp_path) == f"{tmp_path / 'train.csv'}: not found"


def test_a_damaged_gzip_is_one_line(tmp_path):
    path = tmp_path / "train.csv.gz"
    path.write_bytes(gzip.compress(CSV)[:-10])
    assert refusal(tmp_path).startswith(f"{path}: cannot be read as raw data: ")


@pytest.mark.parametrize("name", ["train.csv", "images.npz"])
def test_gigabytes_in_a_small_file_are_not_unpacked(tmp_path, monkeypatch, name):
    monkeypatch.setattr(dataset, "MAX_UNPACKED", (1 << 20) - 1)
    zeros = np.zeros((1 << 10, 32, 32), np.uint8)
    if name == "images.npz":
        np.savez_compressed(tmp_path / name, x_train=zeros, y_train=[0])
    else:
        (tmp_path / name).write_bytes(gzip.compress(zeros))
    assert "unpacks to over 0 MB and 50 times its size" in refusal(tmp_path)


def test_a_zip_archive_of_others_is_refused(tmp_path):
    with zipfile.ZipFile(tmp_path / "digit-recognizer.zip", "w") as archive:
        archive.writestr("train.csv", CSV)
    assert "zip: cannot be read as npz of numbers: holds other files" in refusal(tmp_path)
