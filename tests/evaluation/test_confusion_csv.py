"""Reading a confusion matrix that someone else wrote."""

import csv
from pathlib import Path

import numpy as np
import pytest

from digits.core.errors import DataError
from digits.evaluation.confusion_csv import LAYOUT, read_matrix, write_cells, write_matrix

COUNTS = [[5, 1, 0], [2, 6, 1], [0, 0, 7]]


@pytest.fixture
def read(tmp_path: Path):
    def write_and_read(content: str | bytes):
        path = tmp_path / "m.csv"
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return read_matrix(path)

    return write_and_read


@pytest.fixture
def findings(read):
    def refused(content: str | bytes) -> list[str]:
        with pytest.raises(DataError) as error:
            read(content)
        return [finding.rpartition("/")[2] for finding in error.value.findings]

    return refused


@pytest.mark.parametrize(
    ("content", "names"),
    [
        ("5,1,0\n2,6,1\n0,0,7\n", "012"),
        ("\ufeff5, 1, 0\r\n2, 6, 1\r\n\r\n0, 0, 7", "012"),
        (",a,b,c\na,5,1,0\nb,2,6,1\nc,0,0,7\n", "abc"),
        ("Prediction,7,8,9\n7,5,1,0\n8,2,6,1\n9,0,0,7\n", "789"),
        ('"","a","b","c"\n"a",5,1,0\n"b",2,6,1\n"c",0,0,7\n', "abc"),
    ],
    ids=["counts", "BOM, CRLF, blanks", "pandas", "names that are numbers", "R write.csv"],
)
def test_counts_are_read_with_names_on_both_sides_or_on_none(read, content, names):
    matrix, classes = read(content)
    assert matrix.tolist() == COUNTS
    assert matrix.dtype == np.int64
    assert "".join(classes) == names


@pytest.mark.parametrize("names", [["bag", "boot, left", "1"], ["0", "1", "2"]])
def test_a_written_matrix_comes_back(tmp_path, names):
    write_matrix(tmp_path / "new" / "m.csv", np.array(COUNTS), names=names)
    matrix, classes = read_matrix(tmp_path / "new" / "m.csv")
    assert matrix.tolist() == COUNTS
    assert classes == names


def test_two_classes_are_enough(read):
    assert read("5,5\n5,9\n")[0].tolist() == [[5, 5], [5, 9]]


@pytest.mark.parametrize(
    ("content", "finding"),
    [
        ("", "m.csv: 0 rows; a confusion matrix has at least 2 classes"),
        ("5\n", "m.csv: 1 rows; a confusion matrix has at least 2 classes"),
        ("a\n5\n", "m.csv: one column; the separator must be a comma"),
        ("5;1\n2;6\n", "m.csv: one column; the separator must be a comma"),
        ("5,1,0\n2,6\n", "m.csv:2: 2 cells; the first row has 3"),
        (
            "5,1,0,4,4\n2,6,1,4,4\n",
            f"m.csv: 2 rows and 5 columns of counts; {LAYOUT}",
        ),
        ("5,1,0\n2,6,1\n", f"m.csv: 2 rows and 3 columns of counts; {LAYOUT}"),
        ("0,5,1\n1,2,6\n", f"m.csv: 2 rows and 3 columns of counts; {LAYOUT}"),
        ("1,2\n3,4\n5,6\n", f"m.csv: 3 rows and 2 columns of counts; {LAYOUT}"),
        ("7,5,1,0\n8,2,6,1\n9,0,0,7\n", f"m.csv: 3 rows and 4 columns of counts; {LAYOUT}"),
        ("0,0\n0,0\n", "m.csv: every count is 0; there must be at least one prediction"),
        (
            ",a,b\nb,5,1\na,2,6\n",
            "m.csv: columns are a, b but rows are b, a; both must name the same classes in the "
            "same order",
        ),
        ("a,b\n5,1\n2,6\n", f"m.csv: 2 rows and 1 columns of counts; {LAYOUT}"),
        ("a,5,1\nb,2,6\n", f"m.csv: 1 rows and 2 columns of counts; {LAYOUT}"),
        (",a,a\na,5,1\na,2,6\n", "m.csv: two classes have the same name among a, a"),
        (
            ",a,b,All\na,5,1,6\nb,2,6,8\nAll,7,7,14\n",
            "m.csv: the last row and column are totals; leave them out",
        ),
    ],
    ids=[
        *("empty", "one cell", "one column", "semicolons", "ragged", "not square"),
        *(
            "2×3",
            "2×3 that begins with 0, 1",
            "3×2",
            "3×4",
            "all zero",
            "other order",
            "names above alone",
            "names before alone",
            "same name twice",
            "totals",
        ),
    ],
)
def test_what_is_no_confusion_matrix_is_refused_in_one_line(findings, content, finding):
    assert findings(content) == [finding]


@pytest.mark.parametrize(
    ("cell", "shown"),
    [
        *((bad, bad) for bad in ("-1", "3.5", "six", "nan", "1e3", "٣", "1000000000001")),
        *((bad, bad) for bad in ("0x1F", "+5", "５", "1_0", "inf", "-0", "true")),
        ("", "empty"),
        ("9" * 5000, "9" * 40),
    ],
)
def test_a_cell_that_is_no_count_is_named_by_line_and_column(findings, cell, shown):
    expected = f"is no count; allowed are whole numbers 0…{10**12:,}"
    assert findings(f"5,1\n2,{cell}\n") == [f"m.csv:2 column 2: {shown} {expected}"]
    assert findings(f",a,b\na,5,1\nb,2,{cell}\n") == [f"m.csv:3 column 3: {shown} {expected}"]


@pytest.mark.parametrize("cell", ["-1", "12.0", "1e3"])
def test_a_bad_count_in_the_first_cell_is_not_taken_for_a_name(findings, cell):
    (finding,) = findings(f"{cell},1\n2,5\n")
    assert finding.startswith(f"m.csv:1 column 1: {cell} is no count")


def test_every_bad_cell_is_a_finding(findings):
    assert len(findings("1,x,-1\n2,6,-3\n0,0,7\n")) == 3


@pytest.mark.parametrize(
    "content",
    ["5,1\n2,6\n".encode("utf-16"), b'"5,1\n2,6\n', b"\x1f\x8b\x08\x00\x00"],
    ids=["UTF-16", "open quote", "gzip"],
)
def test_what_is_no_csv_text_is_refused(findings, content):
    (finding,) = findings(content)
    assert finding.startswith("m.csv: not a comma-separated UTF-8 text: ")


@pytest.mark.parametrize(
    ("name", "why"), [("none.csv", "No such file or directory"), (".", "Is a directory")]
)
def test_a_file_that_cannot_be_read_is_named(tmp_path, name, why):
    with pytest.raises(DataError, match=f"cannot be read: {why}"):
        read_matrix(tmp_path / name)


def test_the_cells_of_several_models_are_one_table_that_begins_with_the_classes_in_their_order(
    tmp_path: Path,
) -> None:
    names = ["zebra", "cat, small", "7"]
    path = tmp_path / "cells.csv"
    write_cells(path, {"b": (np.array(COUNTS), names), "a": (np.zeros((3, 3), int), names)})
    with path.open(newline="", encoding="utf-8") as file:
        header, *rows = csv.reader(file)
    assert header == ["model", "prediction", "reference", "count"]
    assert [row[1:3] for row in rows if row[0] == "a"] == [[name, name] for name in names]
    written = {tuple(row[1:3]): int(row[3]) for row in rows if row[0] == "b"}
    assert [*written][:3] == [(name, name) for name in names]
    assert written == {
        (names[row], names[column]): count
        for row, counts in enumerate(COUNTS)
        for column, count in enumerate(counts)
        if count
    }
