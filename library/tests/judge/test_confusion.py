"""Confusion matrices: what is read off them, and those that somebody else wrote."""

import numpy as np
import pytest
from helpers import finding

from imageproof.base.errors import DataError
from imageproof.judge._confusion import clustered, most_confused, read_matrix, write_matrix

NO_COUNTS = "every count is 0, or one is below 0 or over 1,000,000,000,000"
NOT_SQUARE = "is no square table of at least 2 classes; rows of counts, with the class names before"
TOTALS = "the last row and column are totals; leave them out"


def test_most_frequent_error_comes_first():
    matrix = np.array([[5, 0, 2], [3, 9, 2], [0, 0, 4]])
    assert most_confused(matrix, names=["bag", "boot", "NA"]).to_numpy().tolist() == [
        ["bag", "boot", 3, 3 / 8],
        ["NA", "bag", 2, 0.25],
        ["NA", "boot", 2, 0.25],
    ]


def test_many_classes_stand_beside_those_they_are_taken_for():
    group = np.random.default_rng(0).permutation(60) % 12  # of five classes each
    order = clustered(np.where(group[:, None] == group, 10, 0) + np.eye(60, dtype=int) * 50)
    assert sorted(order) == [*range(60)]
    assert np.count_nonzero(np.diff(group[order])) == 11


def test_matrix_is_read_as_it_was_written(tmp_path):
    path = tmp_path / "new" / "m.csv"
    names = ["bag", "boot, left\n", "1"]
    for counts in (
        [[5, 1, 0], [2, 6, 1], [0, 0, 7]],
        [[5, 1, 6], [2, 6, 8], [7, 7, 15]],
        [[10, 0, 10], [0, 0, 0], [10, 0, 10]],  # so few may look like totals by chance
    ):
        write_matrix(path, np.array(counts), names=names)
        matrix, classes = read_matrix(path)
        assert (matrix.tolist(), matrix.dtype, classes) == (counts, np.int64, names)
    path.write_text("\ufeffPrediction, 7, 8\r\n7, 5, 1\r\n\r\n8, 2, 6", "utf-8")
    matrix, classes = read_matrix(path)
    assert (matrix.tolist(), classes) == ([[5, 1], [2, 6]], ["7", "8"])


@pytest.mark.parametrize(
    ("content", "line"),
    [
        (",a,b\nb,5,1\na,2,6\n", NOT_SQUARE),
        (",a,a\na,5,1\na,2,6\n", NOT_SQUARE),
        ("5,1,2\n1,6,3\n2,3,7\n", NOT_SQUARE),  # without names
        (",a,b\na,0,0\nb,0,0\n", NO_COUNTS),
        (",a,b\na,5,1\nb,2,-1\n", NO_COUNTS),
        (f",a,b\na,5,1\nb,2,{'1' * 13}\n", NO_COUNTS),
        (",a,b,c\na,11,0,11\nb,0,0,0\nc,11,0,11\n", TOTALS),
        (",a,b\na,5,1\nb,2,0.5\n", "cannot be read as confusion matrix: "),
    ],
)
def test_no_confusion_matrix_is_refused(tmp_path, content, line):
    path = tmp_path / "m.csv"
    path.write_text(content)
    assert finding(DataError, read_matrix, path).startswith(f"{path}: {line}")
