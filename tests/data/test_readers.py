"""Telling raw data by content, in a folder that holds anything at all."""

import gzip
import zipfile
from pathlib import Path

import numpy as np
import pytest
from support import refusal

from digits.core.errors import DataError
from digits.data.readers.raw import read_raw

CSV = b"label,pixel0,pixel1,pixel2,pixel3\n7,0,128,255,1\n"


def test_a_folder_that_is_missing_names_dvc_pull(tmp_path: Path) -> None:
    assert refusal(tmp_path / "data") == f"{tmp_path}/data: not found; `dvc pull` fetches the data"


@pytest.mark.parametrize("names", [[], [".gitignore"]])
def test_a_folder_without_data_files_names_dvc_pull(tmp_path: Path, names: list[str]) -> None:
    (tmp_path / "folder.csv").mkdir()
    for name in names:
        (tmp_path / name).write_text("/train.csv\n")
    assert refusal(tmp_path) == f"{tmp_path}: no data files in it; `dvc pull` fetches the data"


def test_a_file_in_place_of_the_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "data").write_bytes(CSV)
    assert "data: cannot be read as a folder: Not a directory" in refusal(tmp_path / "data")


def test_hidden_files_and_folders_beside_the_data_are_ignored(tmp_path: Path) -> None:
    (tmp_path / ".gitignore").write_text("/train.csv\n")
    (tmp_path / "older").mkdir()
    (tmp_path / "older/train.csv").write_bytes(CSV)
    (tmp_path / "train.csv").write_bytes(CSV)
    assert len(read_raw(tmp_path).train) == 1


@pytest.mark.parametrize("name", ["data", "images.npz", "train-images-idx3-ubyte.gz"])
def test_the_name_of_a_file_does_not_matter(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(CSV)
    assert read_raw(tmp_path).train.images.tolist() == [[[0, 128], [255, 1]]]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "0 bytes long"),
        (b"\n<!DOCTYPE html>\n<html><body>Sign in</body></html>\n", "an HTML or XML page"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12\n", "Git LFS"),
        (b"outs:\n- md5: d41d8cd9\n  size: 0\n  path: train.csv\n", "a DVC pointer"),
        (b"md5: d41d8cd9\nouts:\n- path: train.csv\n", "a DVC pointer"),
        (CSV.decode().encode("utf-16"), "text in UTF-16"),
        (CSV.decode().encode("utf-16-le"), "text in UTF-16"),
        (CSV.decode().encode("utf-16-be"), "text in UTF-16"),
        (gzip.compress(gzip.compress(CSV, mtime=0), mtime=0), "starts with bytes 1f 8b 08 00"),
        (b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", "starts with bytes 89 50 4e 47 0d 0a 1a 0a"),
        (bytes(100), "of unknown format"),
        (b"\x80\x04\x95\x0c\0\0\0\0\0\0\0\x8c\x08", "of unknown format"),
        (b"PK\x03\x04cut off", "zip or npz is damaged or cut off"),
    ],
)
@pytest.mark.parametrize("name", ["train.csv", "mnist.npz", "train-images-idx3-ubyte"])
def test_what_is_no_data_is_called_what_it_is(
    tmp_path: Path, name: str, content: bytes, said: str
) -> None:
    (tmp_path / name).write_bytes(content)
    line = refusal(tmp_path)
    assert line.startswith(f"{tmp_path}/{name}: ")
    assert said in line


def test_a_zip_archive_is_to_be_unpacked(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "digit-recognizer.zip", "w") as archive:
        archive.writestr("train.csv", CSV)
    assert "a zip archive of train.csv; unpack it first" in refusal(tmp_path)


def test_every_file_that_is_no_data_is_a_finding_of_its_own(tmp_path: Path) -> None:
    for name in ("a.csv", "b.csv", "c.csv"):
        (tmp_path / name).write_bytes(b"version https://git-lfs.github.com/spec/v1\n")
    with pytest.raises(DataError) as caught:
        read_raw(tmp_path)
    assert [line.split(": ")[0] for line in caught.value.findings] == [
        f"{tmp_path}/{name}" for name in ("a.csv", "b.csv", "c.csv")
    ]


@pytest.mark.parametrize("others", [["b.csv"], ["b.npz"], ["b.csv", "b.npz"]])
def test_more_than_one_data_set_is_refused_by_name(tmp_path: Path, others: list[str]) -> None:
    (tmp_path / "a.csv").write_bytes(CSV)
    for name in others:
        if name.endswith("csv"):
            (tmp_path / name).write_bytes(CSV)
        else:
            np.savez(tmp_path / name, x_train=np.ones((1, 2, 2), np.uint8), y_train=[0])
    names = ", ".join(["a.csv", *others])
    assert refusal(tmp_path) == f"{tmp_path}: holds more than one data set ({names}); keep one"


@pytest.mark.parametrize("packed", [False, True])
def test_a_link_to_nowhere_is_one_line(tmp_path: Path, packed: bool) -> None:
    name = "train.csv.gz" if packed else "train.csv"
    (tmp_path / name).symlink_to(tmp_path / "gone")
    assert refusal(tmp_path) == f"{tmp_path}/{name}: cannot be read: No such file or directory"
