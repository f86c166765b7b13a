"""Corrected labels beside the data: merged by `digits relabel`, applied by the stage `pack`."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from support import finding, findings

from imageproof.base.dataset import ImageParams
from imageproof.base.errors import DataError
from imageproof.data import packed, packing
from imageproof.data.readers import corrections

HEAD = "part,name,label,corrected"


def pack(names: list[str] | None = None) -> packed.Packed:
    form = ImageParams(size="auto", channels="auto", fit="stretch")
    packing.pack(Path("data"), Path("packed"), form, 3, names)
    return packed.load(Path("packed"))


def write(path: str, *lines: str) -> Path:
    Path(path).write_text("\n".join((HEAD, *lines, "")), "utf-8")
    return Path(path)


def kept() -> list[str]:
    return Path("data/corrections.csv").read_text("utf-8").splitlines()


@pytest.fixture
def arrays(workspace: Path) -> None:
    """Three training and two test images of three classes."""
    Path("data").mkdir()
    images: Any = np.arange(20, dtype=np.uint8).reshape(5, 2, 2)
    parts = {"x_train": images[:3], "y_train": [0, 1, 2], "x_test": images[3:], "y_test": [0, 1]}
    np.savez("data/images.npz", **parts)


@pytest.fixture
def pictures(workspace: Path) -> None:
    for number, name in enumerate(("cat/1", "cat/2", "dog/1", "fox/1")):
        Path(f"data/{name}").parent.mkdir(parents=True, exist_ok=True)
        Image.new("L", (2, 2), number).save(f"data/{name}.png")


@pytest.mark.usefixtures("arrays")
def test_labels_of_arrays_are_corrected_in_both_parts() -> None:
    before = pack()
    write("data/corrections.csv", "train,row 1,1,2", "test,row 1,1,0")
    after = pack()
    assert after.rows["label"].tolist() == [0, 2, 2, 0, 0]
    columns = before.rows.columns.drop("label")
    pd.testing.assert_frame_equal(after.rows[columns], before.rows[columns])
    assert after.rows["label"].dtype == before.rows["label"].dtype


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
    assert not [*Path("packed").iterdir()]  # before any picture is read


@pytest.mark.usefixtures("arrays")
@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"name,corrected\n", ":1: no column part, label; part,name,label,corrected are needed"),
        (b"", ": cannot be read as a table of labels: No columns to parse"),
        (b"\xff\xfe\n", ": cannot be read as a table of labels: "),
        (b"part,name,label,corrected\na,b,c,d,e\n", ": cannot be read as a table of labels: "),
        (bytes(corrections.MAX_BYTES + 1), ": has 50,000,001 bytes; at most 50,000,000 are"),
    ],
)
def test_what_is_no_table_is_one_line(content: bytes, said: str) -> None:
    Path("data/corrections.csv").write_bytes(content)
    assert finding(DataError, pack).startswith(f"data/corrections.csv{said}")


def relabel(*lines: str) -> tuple[int, int]:
    table, target = write("suspects.csv", *lines), Path("data/corrections.csv")
    return corrections.merge(table, target, packed.load(Path("packed")).rows, [*"012"])


@pytest.mark.usefixtures("arrays")
def test_corrections_add_up_until_they_are_taken_back() -> None:
    pack()
    assert relabel("train,row 1,1, 2 ", "train,row 0,0,", "test,row 0,0,1") == (2, 2)
    assert kept() == [HEAD, "train,row 1,1,2", "test,row 0,0,1"]
    assert relabel("test,row 0,0,2") == (1, 2)  # before it was packed again
    assert pack().rows["label"].tolist() == [0, 2, 2, 2, 1]
    assert relabel("test,row 0,2,1", "train,row 0,0,2") == (2, 3)
    assert kept() == [HEAD, "train,row 1,1,2", "test,row 0,0,1", "train,row 0,0,2"]
    pack()
    assert relabel("train,row 1,2,1") == (1, 2)
    assert pack().rows["label"].tolist() == [2, 1, 2, 1, 1]


@pytest.mark.usefixtures("arrays")
def test_a_table_that_corrects_nothing_or_what_has_changed_is_one_line() -> None:
    pack()
    said = "suspects.csv: no class in the column corrected; nothing to do"
    assert finding(DataError, lambda: relabel("train,row 0,0,")) == said
    relabel("train,row 0,0,1")
    pack()
    assert relabel("train,row 0,0,1", "test,row 1,1,2") == (2, 2)  # the same table, gone on with
    line = finding(DataError, lambda: relabel("train,row 0,2,1"))
    assert line.startswith("suspects.csv:2: train row 0: is 1 in the data, and not 2; ")
    assert kept() == [HEAD, "train,row 0,0,1", "test,row 1,1,2"]
    assert relabel("train,row 0,0,0") == (1, 1)
