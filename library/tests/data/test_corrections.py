"""Corrected labels beside the data: merged by `imageproof relabel`, applied by the stage `pack`."""

import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from helpers import finding, findings, pack_folder
from PIL import Image

from imageproof.base.dataset import ImageParams
from imageproof.base.errors import DataError
from imageproof.data import packed, packing
from imageproof.data.readers import corrections

HEAD = "part,name,label,corrected"
HASHED = f"{HEAD},hash"


def pack(names: list[str] | None = None, **image: Any) -> packed.Packed:
    return pack_folder(Path(), names, classes=3, **image)


def write(path: str, *lines: str) -> Path:
    Path(path).write_text("\n".join((HEAD, *lines, "")), "utf-8")
    return Path(path)


def kept() -> list[str]:
    """The lines of corrections.csv, of which each but the first ends with a hash."""
    head, *lines = Path("data/corrections.csv").read_text("utf-8").splitlines()
    assert all(re.fullmatch("[0-9a-f]{32}", line.rpartition(",")[2]) for line in lines)
    return [head, *(line.rpartition(",")[0] for line in lines)]


@pytest.fixture
def arrays(workspace: Path) -> None:
    """Three training and two test images of three classes."""
    Path("data").mkdir()
    save(0, 1, 2)


def save(*numbers: int) -> None:
    """An npz whose training part has images with these numbers, each of class number % 3."""
    images: Any = np.arange(80, dtype=np.uint8).reshape(20, 2, 2)
    parts = {"x_train": images[[*numbers]], "y_train": np.array(numbers) % 3}
    parts |= {"x_test": images[3:5], "y_test": np.array([0, 1])}
    np.savez("data/images.npz", **parts)


@pytest.fixture
def pictures(workspace: Path) -> None:
    for number, name in enumerate(("cat/1", "cat/2", "dog/1", "fox/1")):
        Path(f"data/{name}").parent.mkdir(parents=True, exist_ok=True)
        Image.new("L", (2, 2), number).save(f"data/{name}.png")


@pytest.mark.usefixtures("arrays")
def test_labels_of_arrays_are_corrected_in_both_parts() -> None:
    original = pack()
    write("data/corrections.csv", "train,row 1,1,2", "test,row 1,1,0")
    grown = pack()
    assert grown.rows["label"].tolist() == [0, 2, 2, 0, 0]
    columns = original.rows.columns.drop("label")
    pd.testing.assert_frame_equal(grown.rows[columns], original.rows[columns])
    assert grown.rows["label"].dtype == original.rows["label"].dtype


@pytest.mark.usefixtures("pictures")
def test_labels_of_pictures_are_corrected_by_the_names_in_params() -> None:
    write("data/corrections.csv", "train,cat/2.png,Katze,Hund")
    assert pack(["Katze", "Hund", "Fuchs"]).rows["label"].tolist() == [0, 1, 1, 2]


@pytest.mark.usefixtures("pictures")
def test_the_file_is_no_picture_that_was_left_out() -> None:
    write("data/corrections.csv")
    form = ImageParams(size="auto", channels="auto", fit="stretch")
    assert packing.pack(Path("data"), Path("packed"), form, 3, None) == ((4, 2, 2), 0, [])


@pytest.mark.usefixtures("arrays")
def test_each_wrong_line_is_one_finding() -> None:
    wrong = ["test,row 2,0,1", "train,row 0,0,3", "train,row 1,0,2", "train,row 2,2,1"]
    write("data/corrections.csv", *wrong, "train,row 2,2,0")
    assert findings(DataError, pack) == [
        "data/corrections.csv:2: test row 2: no such image in the data; delete the line",
        "data/corrections.csv:3: train row 0: '3' is no class, one of 0, 1, 2 is; rename "
        "it here, too, if the class has another name now",
        "data/corrections.csv:4: train row 1: is 1 in the data, and not 0; the data has changed "
        "since; delete the line",
        "data/corrections.csv:6: train row 2: stands in line 5, too; delete one",
    ]
    assert not [*Path("packed").iterdir()]


@pytest.mark.usefixtures("arrays")
def test_large_table_is_refused() -> None:
    Path("data/corrections.csv").write_bytes(bytes(corrections.MAX_BYTES + 1))
    line = finding(DataError, pack)
    assert line == "data/corrections.csv: has 50,000,001 bytes; at most 50,000,000 are allowed"


def relabel(*lines: str) -> tuple[int, int]:
    return merge(write("suspects.csv", *lines))


def merge(table: Path) -> tuple[int, int]:
    rows = packed.load(Path("packed")).rows.assign(hash=packed.load_hashes(Path("packed")))
    return corrections.merge(table, Path("data/corrections.csv"), rows, [*"012"])


@pytest.mark.usefixtures("arrays")
def test_corrections_add_up_until_they_are_taken_back() -> None:
    pack()
    assert relabel("train,row 1,1, 2 ", "train,row 0,0,", "test,row 0,0,1") == (2, 2)
    assert kept() == [HASHED, "train,row 1,1,2", "test,row 0,0,1"]
    assert relabel("test,row 0,0,2") == (1, 2)  # before it was packed again
    assert pack().rows["label"].tolist() == [0, 2, 2, 2, 1]
    assert relabel("test,row 0,2,1", "train,row 0,0,2") == (2, 3)
    assert kept() == [HASHED, "train,row 1,1,2", "test,row 0,0,1", "train,row 0,0,2"]
    pack()
    assert relabel("train,row 1,2,1") == (1, 2)
    assert pack().rows["label"].tolist() == [2, 1, 2, 1, 1]


@pytest.mark.usefixtures("arrays")
def test_a_table_that_corrects_nothing_or_what_has_changed_is_one_line() -> None:
    pack()
    message = "suspects.csv: no class in the column corrected; nothing to do"
    assert finding(DataError, lambda: relabel("train,row 0,0,")) == message
    relabel("train,row 0,0,1")
    pack()
    assert relabel("train,row 0,0,1", "test,row 1,1,2") == (2, 2)  # the same table, gone on with
    line = finding(DataError, lambda: relabel("train,row 0,2,1"))
    assert line.startswith("suspects.csv:2: train row 0: is 1 in the data, and not 2; ")
    assert kept() == [HASHED, "train,row 0,0,1", "test,row 1,1,2"]
    assert relabel("train,row 0,0,0") == (1, 1)


@pytest.mark.usefixtures("arrays")
@pytest.mark.parametrize("side", [2, 8], ids=["as read", "resized"])
def test_correction_follows_its_image(side: int) -> None:
    pack(size=[side, side])
    relabel("train,row 1,1,2")
    save(6, 0, 1, 2)
    assert pack(size=[side, side]).rows["label"].tolist() == [0, 0, 2, 2, 0, 1]
    relabel("train,row 1,0,1")  # the image that has the first one's name now
    assert kept() == [HASHED, "train,row 2,1,2", "train,row 1,0,1"]
    assert pack(size=[3, 3]).rows["label"].tolist() == [0, 1, 2, 2, 0, 1]
    relabel("train,row 2,2,1")
    assert kept() == [HASHED, "train,row 1,0,1"]


@pytest.mark.usefixtures("arrays")
@pytest.mark.parametrize(("numbers", "count"), [((6, 0, 2), 0), ((6, 7, 1, 1), 2)])
def test_correction_of_no_single_image_is_refused(numbers: tuple[int, ...], count: int) -> None:
    pack()
    relabel("train,row 1,1,2")
    save(*numbers)
    line = finding(DataError, pack)
    message = f"is another image now, and the corrected one is in the data {count} times"
    assert line == f"data/corrections.csv:2: train row 1: {message}; delete the line"
