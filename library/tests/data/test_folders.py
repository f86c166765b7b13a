"""Which pictures lie in a folder, and of which class: by folders, or by labels.csv.

What `pack` reads is what DVC versions: no links to folders, nothing that .dvcignore names.
"""

import json
import os
import shutil
from functools import partial
from pathlib import Path

import pytest
from dvc.repo import Repo
from helpers import finding, findings, pack_warnings, put_pictures

from imageproof.base.errors import DataError
from imageproof.data._class_names import in_order
from imageproof.data.readers._folders import list_pictures
from imageproof.data.readers._versioned import list_files

DATA = Path("data")
pytestmark = pytest.mark.usefixtures("workspace")
put = partial(put_pictures, DATA)


def listed(folder=DATA):
    """Part, label and path of each picture, and what is warned of."""
    rows, warnings = list_pictures(folder)
    return [*rows[["part", "label", "file"]].itertuples(index=False, name=None)], warnings


def fault(work=listed):
    return finding(DataError, work)


def table(*lines):
    (DATA / "labels.csv").write_text("\n".join(lines), "utf-8")


def left_out(names, why="no picture of a class"):
    return [f"data: left out, as {why}: {names}"]


def test_a_test_part_has_a_folder_of_its_own():
    names = ["train/cat/1.JPG", "train/dog/1.png", "test/cat/1.png"]
    put(*names, "val/cat/2.png", "train/cat/.hidden.png")
    rows = [(*name.split("/")[:2], name) for name in names]
    assert listed() == (rows, left_out("1 (val/cat/2.png)"))
    put_pictures(Path("classes"), "train/1.png", "test/1.png")
    assert [label for _, label, _ in listed(Path("classes"))[0]] == ["test", "train"]


def test_a_table_names_pictures_and_keeps_its_columns():
    put("one.png", "in/two.png", "b.png")
    table('\ufeffwriter, label ,"file"', ' Ann,b,"./in//two.png"', "", "Bob, a,one.png")
    rows = [("train", "b", "in/two.png"), ("train", "a", "one.png")]
    assert listed() == (rows, left_out("1 (b.png)", "in no line of labels.csv"))
    assert list_pictures(DATA).rows["meta_writer"].tolist() == ["Ann", "Bob"]


def test_each_wrong_line_of_a_table_is_one_finding():
    put("a.png", "b.png", "../secret.png")
    table("file,label", "a.png,x", '"c\nd.png",x', "./a.png,y", "../secret.png,x", "b.png, \u200b")
    assert findings(DataError, listed) == [
        r"data/labels.csv:3: c\nd.png: not found",
        "data/labels.csv:5: ./a.png: stands in line 2, too",
        "data/labels.csv:6: ../secret.png: not found",
        "data/labels.csv:7: b.png: has no label",
    ]


@pytest.mark.parametrize(
    ("text", "encoding", "message"),
    [
        ("file,class\na.png,x", "utf-8", ":1: file,class; file,label and other names are needed"),
        ("file,label\na.png,x\na.png,x,", "utf-8", ":3: 3 values for 2 columns; put a value th"),
        ("file,label\na.png,é", "utf-16", ": is not in UTF-8; save it as «CSV UTF-8»"),
    ],
)
def test_a_wrong_table_is_one_line(text, encoding, message):
    put("a.png", "cat/1.png")
    (DATA / "labels.csv").write_text(text, encoding)
    assert fault().startswith(f"data/labels.csv{message}")


def test_pictures_all_in_folders_within_a_class():
    put("cat/1.png", "cat/deep/2.png", "my pets/fish/1.png", "my pets/2/1.png")
    message = "data/my pets: all its pictures are in folders within it, as my pets/2/1.png"
    assert fault().startswith(f"{message}; move them into it if it is a class (parts are called ")
    shutil.rmtree(DATA / "cat")
    assert fault() == f"{message}; move these folders up"
    put("train/cat/1.png", "train/dog/9/1.png", "test/dog/1.png")
    assert fault().startswith("data/train/dog: all its pictures are in folders with")


def test_odd_names_are_printable():
    put("a b/line\nfeed.png", "ä/ö.png")
    (DATA / "ä/itself.png").symlink_to("itself.png")
    files = [file for _, _, file in listed()[0]]
    assert files == ["a b/line\\nfeed.png", "ä/itself.png", "ä/ö.png"]
    put(os.fsdecode(b"\xe4/1.png"))
    assert fault().startswith(r"data/\udce4/1.png: its name is no UTF-8, so that DVC cannot ")


def test_classes_are_sorted_as_numbers_where_they_are_such():
    assert in_order(["10", "9", "01"]) == ["01", "9", "10"]


def test_files_are_those_of_dvc():
    names = ["cat/1.png", "cat/deep/2.png", "dog/3.tmp", "inner/4.png", "old/5.png", "single.png"]
    put(*names[:-1], "../single.png")
    (DATA / "single.png").symlink_to(Path("single.png").resolve())
    (DATA / "inner/.dvc").mkdir()  # a repository within this one
    Path(".dvcignore").write_text("*.tmp\n/data/old\n")
    with Repo.init(no_scm=True) as repo:
        repo.add("data")
    [listing] = Path(".dvc/cache/files/md5").glob("*/*.dir")
    versioned = [file["relpath"] for file in json.loads(listing.read_text("utf-8"))]
    assert versioned == [*names[:2], "single.png"]
    for folder in (DATA, DATA / "../data"):
        assert list_files(folder) == (versioned, names[2:5])


def test_link_to_a_folder_is_refused(workspace):
    put("cat/1.png")
    (DATA / "dog").symlink_to(workspace)
    assert fault().startswith("data/dog: is a link to a folder, whose files DVC does not version; ")
    Path(".dvcignore").write_text("data/dog")
    assert len(listed()[0]) == 1


def test_ignored_pictures_are_left_out_and_named():
    put("cat/1.png", "dog/1.png", "dog/2.png", "dog/22.png")
    Path(".dvcignore").write_text("data/dog/2*")
    assert pack_warnings() == left_out("2 (dog/2.png, dog/22.png)", ".dvcignore names them")
    table("file,label", "dog/2.png,dog")
    assert fault() == "data/labels.csv:2: dog/2.png: not found, as .dvcignore leaves it out"


def test_ignored_tables_and_arrays_are_not_read():
    put("cat/1.png", "dog/1.png", "labels.csv", "corrections.csv", "train.csv")
    Path(".dvcignore").write_text("*.csv")
    names = "3 (corrections.csv, labels.csv, train.csv)"
    assert pack_warnings() == left_out(names, ".dvcignore names them")
    Path(".dvcignore").write_text("*")
    assert "no data files found" in fault(pack_warnings)


def test_data_of_another_format_are_named():
    put("cat/1.HEIC", "dog/2.HEIC")
    assert fault(pack_warnings) == (
        "data: cat/1.HEIC, dog/2.HEIC: none is read; PNG, JPEG, WebP and BMP are in a folder for "
        "each class, arrays in no folder"
    )
