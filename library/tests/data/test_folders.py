"""Which pictures lie in a folder, and of which class: by folders, or by labels.csv.

What `pack` reads is what DVC versions: no links to folders, nothing that .dvcignore names.
"""

import json
import os
import shutil
from pathlib import Path

import pytest
from dvc.repo import Repo
from helpers import finding, findings, put_pictures

from imageproof.base._dataset import ImageParams
from imageproof.base.errors import DataError
from imageproof.data import packing
from imageproof.data._class_names import in_order
from imageproof.data.readers._folders import list_pictures
from imageproof.data.readers._versioned import list_files

NAMES = [
    *("cat/1.png", "cat/draft-2.png", "cat/b1.png", "cat/b2.png", "cat/deep/x/3.png", "cat/#4.png"),
    *("dog/1.png", "dog/old/5.png", "dog/skip", "dog/keep.tmp", "dog/6.tmp", "dog/deep/7.png"),
    *("skip/8.png", "old/9.png", "trash/10.png", "trash/keep.tmp", "b1.png", "dog/ü.png"),
]
IGNORED = [
    *("*.tmp", "!keep.tmp", "# a comment", "", " skip/ ", "/data/old", "/dog", "draft-*", "trash"),
    *("ü*", "data/cat/1.png", "b*.png", "!b2.png", "cat/deep/", r"\#*", "*9.png", "!old/9.png"),
]
TABLE = "file,label\ncat/1.png,cat\ndog/1.png,dog\n"
DATA = Path("data")

HEADER = "file,label and other names are needed, each once"

pytestmark = pytest.mark.usefixtures("workspace")


def listed(folder):
    """Part, label and path of each picture, and what is warned of."""
    rows, warnings = list_pictures(folder)
    return [*rows[["part", "label", "file"]].itertuples(index=False, name=None)], warnings


def fault(folder):
    return finding(DataError, lambda: list_pictures(folder))


def table(folder, *lines):
    (folder / "labels.csv").write_text("\n".join(lines), "utf-8")


def test_a_folder_per_class(tmp_path):
    put_pictures(tmp_path, "cat/b.png", "cat/a.JPG", "dog/a.webp", "dog/.hidden.png", "dog/x.bmp")
    files = [
        ("cat", "cat/a.JPG"),
        ("cat", "cat/b.png"),
        ("dog", "dog/a.webp"),
        ("dog", "dog/x.bmp"),
    ]
    assert listed(tmp_path) == ([("train", *file) for file in files], [])


def test_a_test_part_has_a_folder_of_its_own(tmp_path):
    names = ["train/cat/1.png", "train/dog/1.png", "test/cat/1.png"]
    put_pictures(tmp_path, *names, "val/cat/2.png")
    rows, warnings = listed(tmp_path)
    assert rows == [
        ("train", "cat", names[0]),
        ("train", "dog", names[1]),
        ("test", "cat", names[2]),
    ]
    left_out = "left out, as no picture of a class: 1 (val/cat/2.png)"
    assert warnings == [f"{tmp_path}: {left_out}"]
    put_pictures(tmp_path / "classes", "train/1.png", "test/1.png")
    rows, _ = listed(tmp_path / "classes")
    assert [label for _, label, _ in rows] == ["test", "train"]


@pytest.mark.parametrize("header", ['writer, label ,"file"', "\ufeffwriter,label,file"])
def test_a_table_names_pictures_and_keeps_its_columns(tmp_path, header):
    put_pictures(tmp_path, "one.png", "in/two.png", "b.png")
    table(tmp_path, header, ' Ann,b,"./in//two.png"', "", "Bob, a,one.png")
    rows, warnings = listed(tmp_path)
    assert rows == [("train", "b", "in/two.png"), ("train", "a", "one.png")]
    assert list_pictures(tmp_path).rows["meta_writer"].tolist() == ["Ann", "Bob"]
    assert warnings == [f"{tmp_path}: left out, as no picture of a class: 1 (b.png)"]


def test_each_wrong_line_of_a_table_is_one_finding(tmp_path):
    folder = put_pictures(tmp_path / "data", "a.png")
    secret = put_pictures(tmp_path, "secret.png") / "secret.png"
    table(folder, "file,label", "a.png,x", "b.png,x", "./a.png,y", "../secret.png,x", f"{secret},x")
    assert findings(DataError, lambda: list_pictures(folder)) == [
        f"{folder}/labels.csv:3: b.png: not found",
        f"{folder}/labels.csv:4: ./a.png: stands in line 2, too",
        f"{folder}/labels.csv:5: ../secret.png: leads out of {folder}",
        f"{folder}/labels.csv:6: {secret}: leads out of {folder}",
    ]


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (["file,label"], "names no picture"),
        (["file,class", "a.png,x"], f":1: file,class; {HEADER}"),
        (["file,label,", "a.png,x,"], f":1: file,label,; {HEADER}"),
        (["file,label,label", "a.png,x,y"], f":1: file,label,label; {HEADER}"),
        (["", "file,label", "a.png,x"], f":1: nothing; {HEADER}"),
        (["file,label", "a.png,x", "a.png,x,"], ":3: 3 values for 2 columns; put a value that"),
        (["file,label,by", 'a.png,x,"y', 'y"', "", "b.png,x"], ":5: b.png: not found"),
        (["file,label", '"b', '.png",x'], ":2: b\\n.png: not found"),
        (["file,label", "a.png, "], ":2: a.png: has no label"),
        (["file,label", '"a.png'], "cannot be read as a table: unexpected end of data"),
    ],
)
def test_a_wrong_table_is_one_line(tmp_path, lines, message):
    put_pictures(tmp_path, "a.png")
    table(tmp_path, *lines)
    assert message in fault(tmp_path)


@pytest.mark.parametrize("encoding", ["utf-16", "cp1252"])
def test_table_in_another_encoding_is_refused(tmp_path, encoding):
    put_pictures(tmp_path, "a.png", "cat/1.png")
    (tmp_path / "labels.csv").write_text("file,label\na.png,é\n", encoding)
    end = "is not in UTF-8; save it as «CSV UTF-8»"
    assert fault(tmp_path) == f"{tmp_path}/labels.csv: {end}"


def test_what_is_left_out_is_counted_and_named(tmp_path):
    put_pictures(tmp_path, "cat/1.png", "dog/1.png", "dog/deep/2.png", "3.png", "Dog.png")
    for name in ("cat/notes.txt", "a.txt", "corrections.csv", "dog.dvc"):
        (tmp_path / name).touch()
    names = "3.png, Dog.png, a.txt, …"
    _, warnings = listed(tmp_path)
    assert warnings == [f"{tmp_path}: left out, as no picture of a class: 5 ({names})"]


def test_pictures_all_in_folders_within_a_class(tmp_path):
    put_pictures(tmp_path, "cat/1.png", "cat/deep/2.png", "my pets/fish/1.png", "my pets/2/1.png")
    pets = f"{tmp_path}/my pets"
    message = f"{pets}: has 2 pictures, all in folders within it, as my pets/2/1.png"
    assert fault(tmp_path) == f"{message}; move them into it, or name each in labels.csv"
    shutil.rmtree(tmp_path / "cat")
    assert fault(tmp_path) == f"{message}; move these up: mv '{pets}'/* {tmp_path}"
    put_pictures(tmp_path, "train/cat/1.png", "train/dog/9/1.png", "test/dog/1.png")
    assert fault(tmp_path).startswith(f"{tmp_path}/train/dog: has 1 pictures, all in folders with")


def test_names_that_differ_only_in_case(tmp_path):
    put_pictures(tmp_path, "cat/A.png", "cat/a.png", "dog/a.png")
    message = "2 names differ only in case, and are one file on some systems"
    assert listed(tmp_path)[1] == [f"{tmp_path}: {message}: cat/A.png, cat/a.png"]


def test_odd_names_are_printable(tmp_path):
    put_pictures(tmp_path, "a b/line\nfeed.png", "ä/ö.png")
    Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xc3\xa4/\xff.png")).touch()
    (tmp_path / "ä/itself.png").symlink_to(tmp_path / "ä/itself.png")
    files = [file for _, _, file in listed(tmp_path)[0]]
    assert files == ["a b/line\\nfeed.png", "ä/itself.png", "ä/ö.png", "ä/\\xff.png"]


def test_classes_are_sorted_as_numbers_where_they_are_such():
    assert in_order(["10", "9", "01"]) == ["01", "9", "10"]
    assert in_order(["10", "9", "b"]) == ["10", "9", "b"]


def pack():
    """Pack the data; what is warned of."""
    form = ImageParams(size="auto", channels="auto", fit="stretch")
    _, _, warnings = packing.pack(DATA, Path("packed"), form, 2, None)
    return warnings


def files_of_dvc():
    """What `dvc add data` put into the cache."""
    with Repo.init(no_scm=True) as repo:
        repo.add("data")
    [listing] = Path(".dvc/cache/files/md5").glob("*/*.dir")
    return sorted(file["relpath"] for file in json.loads(listing.read_text("utf-8")))


def ignore(*patterns):
    Path(".dvc").mkdir()
    Path(".dvcignore").write_text("\n".join(patterns), "utf-8")


def test_files_are_those_of_dvc():
    put_pictures(DATA, *NAMES)
    put_pictures(Path(), "single.png")
    (DATA / "dog/single.png").symlink_to(Path("single.png").resolve())
    Path(".dvcignore").write_text("\n".join(IGNORED), "utf-8")
    versioned = files_of_dvc()
    assert "dog/single.png" in versioned
    assert list_files(DATA) == (versioned, sorted({*NAMES} - {*versioned}))


@pytest.mark.parametrize("table", ["", TABLE], ids=["folders", "labels.csv"])
def test_link_to_a_folder_is_refused(workspace, table):
    put_pictures(DATA, "cat/1.png")
    put_pictures(Path(), "my dogs/1.png")
    (DATA / "dog").symlink_to(workspace / "my dogs")
    if table:
        (DATA / "labels.csv").write_text(table)
    mend = f"delete it, or type: rm data/dog && cp -r '{workspace}/my dogs' data/dog"
    line = finding(DataError, pack)
    assert line == f"data/dog: is a link to a folder, whose files DVC does not version; {mend}"


def test_ignored_pictures_are_left_out_and_named():
    put_pictures(DATA, "cat/1.png", "dog/1.png", "dog/2.png", "dog/22.png")
    ignore("data/dog/2*")
    assert pack() == ["data: left out, as .dvcignore names them: 2 (dog/2.png, dog/22.png)"]
    (DATA / "labels.csv").write_text(f"{TABLE}dog/2.png,dog\n")
    line = finding(DataError, pack)
    assert line == "data/labels.csv:4: dog/2.png: not found, as .dvcignore leaves it out"


def test_ignored_tables_and_arrays_are_not_read():
    put_pictures(DATA, "cat/1.png", "dog/1.png")
    for name in ("labels.csv", "corrections.csv", "train.csv"):
        (DATA / name).write_text("no table")
    ignore("*.csv")
    names = "corrections.csv, labels.csv, train.csv"
    assert pack() == [f"data: left out, as .dvcignore names them: 3 ({names})"]
    for name in ("cat", "dog"):
        shutil.rmtree(DATA / name)
    assert "no data files found" in finding(DataError, pack)
