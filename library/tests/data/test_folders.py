"""Which pictures lie in a folder, and of which class: by folders, or by labels.csv."""

import os
import shutil
from pathlib import Path

import pytest
from helpers import findings, put_pictures

from imageproof.base.errors import DataError
from imageproof.data.class_names import in_order
from imageproof.data.readers.folders import list_pictures


def listed(folder: Path) -> list[tuple[str, str, str]]:
    listing = list_pictures(folder)
    assert listing is not None
    return [*listing.rows[["part", "label", "file"]].itertuples(index=False, name=None)]


def table(folder: Path, *lines: str) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / "labels.csv").write_text("\n".join(lines), "utf-8")
    return folder


def test_a_folder_per_class(tmp_path: Path) -> None:
    put_pictures(tmp_path, "cat/b.png", "cat/a.JPG", "dog/a.webp", "dog/.hidden.png", "dog/x.bmp")
    assert listed(tmp_path) == [
        *(("train", "cat", "cat/a.JPG"), ("train", "cat", "cat/b.png")),
        *(("train", "dog", "dog/a.webp"), ("train", "dog", "dog/x.bmp")),
    ]


def test_a_test_part_has_a_folder_of_its_own(tmp_path: Path) -> None:
    put_pictures(tmp_path, "train/cat/1.png", "train/dog/1.png", "test/cat/1.png")
    expected = [("train", "cat"), ("train", "dog"), ("test", "cat")]
    assert [(part, label) for part, label, _ in listed(tmp_path)] == expected


def test_classes_may_be_called_train_and_test(tmp_path: Path) -> None:
    put_pictures(tmp_path, "train/1.png", "test/1.png")
    assert [label for _, label, _ in listed(tmp_path)] == ["test", "train"]


def test_a_table_names_pictures_and_keeps_its_columns(tmp_path: Path) -> None:
    put_pictures(tmp_path, "one.png", "in/two.png")
    table(tmp_path, "file,label,writer", "in/two.png,b, Ann", "one.png, a,Bob")
    listing = list_pictures(tmp_path)
    assert listing is not None
    assert listed(tmp_path) == [("train", "b", "in/two.png"), ("train", "a", "one.png")]
    assert listing.rows["meta_writer"].tolist() == ["Ann", "Bob"]
    assert listing.warnings == []


def test_the_same_path_written_otherwise_is_the_same_file(tmp_path: Path) -> None:
    put_pictures(table(tmp_path, "file,label", "./a.png,x", "b//c.png,y"), "a.png", "b/c.png")
    assert [file for _, _, file in listed(tmp_path)] == ["a.png", "b/c.png"]
    table(tmp_path, "file,label", "a.png,x", "./a.png,y")
    [line] = findings(DataError, lambda: list_pictures(tmp_path))
    assert line == f"{tmp_path}/labels.csv:3: ./a.png: stands in line 2, too"


def test_each_wrong_line_of_a_table_is_one_finding(tmp_path: Path) -> None:
    put_pictures(tmp_path / "data", "a.png")
    put_pictures(tmp_path, "secret.png")
    lines = ["a.png,x", "b.png,x", "a.png,y", "../secret.png,x", f"{tmp_path}/secret.png,x"]
    folder = table(tmp_path / "data", "file,label", *lines)
    message = findings(DataError, lambda: list_pictures(folder))
    start = f"{folder}/labels.csv"
    assert message == [
        f"{start}:3: b.png: not found",
        f"{start}:4: a.png: stands in line 2, too",
        f"{start}:5: ../secret.png: leads out of {folder}",
        f"{start}:6: {tmp_path}/secret.png: leads out of {folder}",
    ]


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (["file,label"], "names no picture"),
        (["file,class", "a.png,x"], ":1: file,class; file,label and other names are needed, each"),
        (["a.png,x"], ":1: a.png,x; file,label and other names are needed, each once"),
        (["file;label", "a.png;x"], ":1: file;label; file,label and other names are needed"),
        (["file,label,", "a.png,x,"], ":1: file,label,; file,label and other names are needed"),
        (["file,label,label", "a.png,x,y"], ":1: file,label,label; file,label and other"),
        (
            ["file,label", "a.png,x,"],
            ":2: 3 values for 2 columns; put a value that has a comma bet",
        ),
        (["file,label,by", "a.png,x,y", "a.png,x,y,z"], ":3: 4 values for 3 columns; put a value"),
        (["", "file,label", "a.png,x"], ":1: nothing; file,label and other names are needed"),
        (["file,label,by", 'a.png,x,"y', 'y"', "", "b.png,x"], ":5: b.png: not found"),
        (["file,label", '"b', '.png",x'], ":2: b\\n.png: not found"),
        (["file,label", "a.png, "], ":2: a.png: has no label"),
        (["file,label", '"a.png'], "cannot be read as a table: unexpected end of data"),
    ],
)
def test_a_wrong_table_is_one_line(tmp_path: Path, lines: list[str], message: str) -> None:
    put_pictures(table(tmp_path, *lines), "a.png")
    [line] = findings(DataError, lambda: list_pictures(tmp_path))
    assert message in line


def test_what_is_left_out_is_counted_and_named(tmp_path: Path) -> None:
    put_pictures(tmp_path, "cat/1.png", "dog/1.png", "dog/deep/2.png", "3.png", "Dog.png")
    (tmp_path / "cat/notes.txt").touch()
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes/a.txt").touch()
    listing = list_pictures(tmp_path)
    assert listing is not None
    [line] = listing.warnings
    some = "3.png, Dog.png, cat/notes.txt, …"
    assert line == f"{tmp_path}: left out, as no picture of a class: 5 ({some})"


def test_further_parts_are_left_out_and_named(tmp_path: Path) -> None:
    put_pictures(tmp_path, "train/cat/1.png", "train/dog/1.png", "val/cat/2.png", "test/cat/3.png")
    listing = list_pictures(tmp_path)
    assert listing is not None
    assert len(listing.rows) == 3
    assert listing.warnings == [
        f"{tmp_path}: left out, as no picture of a class: 1 (val/cat/2.png)"
    ]


def test_pictures_all_in_folders_within_a_class(tmp_path: Path) -> None:
    put_pictures(
        tmp_path,
        "cat/1.png",
        "dog/1.png",
        "dog/deep/2.png",
        "my pets/fish/1.png",
        "my pets/2/1.png",
    )
    pets = f"{tmp_path}/my pets"
    message = f"{pets}: has 2 pictures, all in folders within it, as my pets/2/1.png"
    mend = "move them into it, or name each in labels.csv"
    assert findings(DataError, lambda: list_pictures(tmp_path)) == [f"{message}; {mend}"]
    shutil.rmtree(tmp_path / "cat")
    shutil.rmtree(tmp_path / "dog")
    mend = f"move these up: mv '{pets}'/* {tmp_path}"
    assert findings(DataError, lambda: list_pictures(tmp_path)) == [f"{message}; {mend}"]
    put_pictures(tmp_path, "train/cat/1.png", "train/dog/9/1.png", "test/dog/1.png")
    [line] = findings(DataError, lambda: list_pictures(tmp_path))
    assert line.startswith(f"{tmp_path}/train/dog: has 1 pictures, all in folders within it")


@pytest.mark.parametrize("encoding", ["utf-16", "utf-32", "cp1252"])
def test_table_in_another_encoding_is_refused(tmp_path: Path, encoding: str) -> None:
    put_pictures(tmp_path, "a.png", "cat/1.png")
    (tmp_path / "labels.csv").write_text("file,label\na.png,é\n", encoding)
    [line] = findings(DataError, lambda: list_pictures(tmp_path))
    assert line == f"{tmp_path}/labels.csv: is not in UTF-8; save it as «CSV UTF-8»"


def test_columns_of_a_table_may_stand_in_any_order(tmp_path: Path) -> None:
    put_pictures(
        table(tmp_path, "writer, label ,file", "Ann,x,a.png", "", "Bob,y,b.png"), "a.png", "b.png"
    )
    listing = list_pictures(tmp_path)
    assert listing is not None
    assert listed(tmp_path) == [("train", "x", "a.png"), ("train", "y", "b.png")]
    assert listing.rows["meta_writer"].tolist() == ["Ann", "Bob"]


@pytest.mark.parametrize("header", ['"file","label","writer"', "\ufefffile,label,writer"])
def test_a_quoted_header_is_one_too(tmp_path: Path, header: str) -> None:
    table(put_pictures(tmp_path, "in/one.png"), header, '"in/one.png","a","Ann"')
    assert listed(tmp_path) == [("train", "a", "in/one.png")]


def test_a_picture_that_no_line_of_the_table_names_is_counted(tmp_path: Path) -> None:
    put_pictures(table(tmp_path, "file,label", "a.png,x"), "a.png", "b.png")
    listing = list_pictures(tmp_path)
    assert listing is not None
    assert listing.warnings == [f"{tmp_path}: left out, as no picture of a class: 1 (b.png)"]


def test_names_that_differ_only_in_case(tmp_path: Path) -> None:
    put_pictures(tmp_path, "cat/A.png", "cat/a.png", "dog/a.png")
    listing = list_pictures(tmp_path)
    assert listing is not None
    [line] = listing.warnings
    assert (
        "2 names differ only in case, and are one file on some systems: cat/A.png, cat/a.p" in line
    )


def test_odd_names_are_printable(tmp_path: Path) -> None:
    put_pictures(tmp_path, "a b/line\nfeed.png", "ä/ö.png")
    Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xc3\xa4/\xff.png")).touch()
    assert [file for _, _, file in listed(tmp_path)] == [
        *("a b/line\\nfeed.png", "ä/ö.png", "ä/\\xff.png"),
    ]


def test_a_loop_of_links_ends(tmp_path: Path) -> None:
    put_pictures(tmp_path, "cat/1.png", "dog/1.png")
    (tmp_path / "dog/itself.png").symlink_to(tmp_path / "dog/itself.png")
    assert [file for _, _, file in listed(tmp_path)] == ["cat/1.png", "dog/1.png", "dog/itself.png"]
    table(tmp_path, "file,label", "cat/1.png,x")
    assert len(listed(tmp_path)) == 1
    (tmp_path / "dog/loop").symlink_to(tmp_path)
    [line] = findings(DataError, lambda: list_pictures(tmp_path))
    assert line.startswith(f"{tmp_path}/dog/loop: is a link to a folder, whose files DVC does not")


@pytest.mark.parametrize("folder", ["none", "file", "empty"])
def test_without_pictures_there_is_no_listing(tmp_path: Path, folder: str) -> None:
    (tmp_path / "empty/deeper").mkdir(parents=True)
    (tmp_path / "file").touch()
    assert list_pictures(tmp_path / folder) is None


def test_classes_are_sorted_as_numbers_where_they_are_such() -> None:
    assert in_order(["10", "9", "01"]) == ["01", "9", "10"]
    assert in_order(["10", "9", "b"]) == ["10", "9", "b"]
