"""Corrected labels beside the data: merged by `imageproof relabel`, applied by the stage `pack`."""

import re
from pathlib import Path

import numpy as np
import pytest
from helpers import finding, findings, pack_data

from imageproof.base.errors import DataError
from imageproof.data import packed
from imageproof.data.readers import corrections

HEAD = "part,name,label,corrected"
FILE = Path("data/corrections.csv")

pytestmark = pytest.mark.usefixtures("arrays")


@pytest.fixture
def arrays(workspace):
    """Three training and two test images of three classes."""
    Path("data").mkdir()
    save(0, 1, 2)


def save(*numbers, classes=3):
    """An npz whose training part has images with these numbers, each of class number % 3."""
    images = np.arange(80, dtype=np.uint8).reshape(20, 2, 2)
    parts = {"x_train": images[[*numbers]], "y_train": np.array(numbers) % classes}
    np.savez("data/images.npz", **parts, x_test=images[3:5], y_test=np.array([0, 1]))


def pack(**image):
    return pack_data(classes=3, **image).rows


def labels(**image):
    return pack(**image)["label"].tolist()


def write(path, *lines):
    path.write_text("\n".join((HEAD, *lines, "")), "utf-8")


def relabel(*lines):
    """Merge a table: how many rows it corrects, and how many are corrected then."""
    table = Path("suspects.csv")
    write(table, *lines)
    rows = packed.load(Path("packed")).rows.assign(hash=packed.load_hashes(Path("packed")))
    return corrections.merge(corrections.read_corrected(table, rows), FILE, rows, [*"012"])


def kept():
    """The lines of corrections.csv, without their hashes."""
    head, *lines = FILE.read_text("utf-8").splitlines()
    assert head == f"{HEAD},hash"
    return [re.sub(",[0-9a-f]{32}$", "", line) for line in lines]


def test_each_wrong_line_is_one_finding():
    wrong = ["test,row 2,0,1", "train,row 0,boot,3", "train,row 1,0,2", "train,row 2,2,1"]
    write(FILE, *wrong, "train,row 2,2,0")
    messages = [
        "2: test row 2: no such image in the data; ",
        "3: train row 0: 3, boot is no class, one of 0, 1, 2 is; ",
        "4: train row 1: is 1 in the data, and not 0; ",
        "6: train row 2: stands in a line before, too; ",
    ]
    for line, message in zip(findings(DataError, pack), messages, strict=True):
        assert line.startswith(f"{FILE}:{message}")
    assert not [*Path("packed").iterdir()]


def test_corrections_add_up_until_they_are_taken_back():
    pack()
    assert relabel("train,row 1,1, 2 ", "train,row 0,0,", "test,row 0,0,1") == (2, 2)
    assert kept() == ["train,row 1,1,2", "test,row 0,0,1"]
    assert relabel("test,row 0,0,2") == (1, 2)  # before it was packed again
    assert labels() == [0, 2, 2, 2, 1]
    assert relabel("test,row 0,2,1", "train,row 0,0,2") == (2, 3)
    assert kept() == ["train,row 1,1,2", "test,row 0,0,1", "train,row 0,0,2"]
    pack()
    for _ in range(2):  # the same table again
        assert relabel("train,row 1,2,1") == (1, 2)
    assert labels() == [2, 1, 2, 1, 1]
    relabel("train,row 0,2,1")
    assert kept() == ["test,row 0,0,1", "train,row 0,0,1"]


def test_table_that_corrects_nothing_or_what_changed_is_one_line():
    pack()
    assert finding(DataError, relabel, "train,row 0,0,").endswith("; nothing to do")
    relabel("train,row 0,0,1")
    pack()
    assert relabel("train,row 0,0,1", "test,row 1,1,2") == (2, 2)  # the same table, gone on with
    line = finding(DataError, relabel, "train,row 0,2,1")
    assert line.startswith("suspects.csv:2: train row 0: is 1 in the data, and not 2; ")
    assert kept() == ["train,row 0,0,1", "test,row 1,1,2"]


def test_correction_follows_its_image():
    pack()
    relabel("train,row 1,1,2")
    save(6, 0, 1, 2)
    for side in (2, 8):  # as read, and resized
        assert labels(size=[side, side]) == [0, 0, 2, 2, 0, 1]
    relabel("train,row 1,0,1")  # the image that has the first one's name now
    assert kept() == ["train,row 2,1,2", "train,row 1,0,1"]
    assert labels(size=[3, 3]) == [0, 1, 2, 2, 0, 1]
    relabel("train,row 2,2,1")
    assert kept() == ["train,row 2,1,1", "train,row 1,0,1"]  # until it is packed


def test_label_that_is_no_class_is_corrected():
    save(0, 7, classes=9)
    pack()
    assert relabel("train,row 1,7,1") == (1, 1)
    assert labels() == [0, 1, 0, 1]


@pytest.mark.parametrize(("numbers", "count"), [((6,), 0), ((6, 7, 1, 1), 2)])
def test_correction_of_no_single_image_is_refused(numbers, count):
    pack()
    relabel("train,row 1,1,2")
    save(*numbers)
    line = finding(DataError, pack)
    assert line.startswith(f"{FILE}:2: train row 1: is gone or ")
    assert f" is in the data {count} times; " in line
