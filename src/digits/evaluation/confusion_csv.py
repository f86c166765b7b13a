"""Confusion matrices as CSV: rows are predictions, columns the reference."""

import csv
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np

from digits.core.dataset import Matrix
from digits.core.errors import DataError
from digits.core.files import replacing, require_file

LARGEST_COUNT = 10**12
MAX_BYTES = 64 << 20  # some thousand classes
NO_COUNT = f"is no count; allowed are whole numbers 0…{LARGEST_COUNT:,}"
LAYOUT = (
    "a confusion matrix has the class names in its first row (reference) and in its first column "
    "(prediction), or holds counts alone"
)


class NamedMatrix(NamedTuple):
    """A confusion matrix int64 (classes, classes), rows = prediction, and its classes' names."""

    matrix: Matrix
    classes: tuple[str, ...]


class _Row(NamedTuple):
    line: int
    cells: list[str]


def write_matrix(path: Path, matrix: Matrix, *, names: list[str]) -> None:
    """Write a confusion matrix int64 (classes, classes) with the names of its classes."""
    import pandas as pd

    frame = pd.DataFrame(matrix, index=names, columns=names)
    with replacing(path) as temporary:
        frame.to_csv(temporary, index_label="prediction")


def read_matrix(path: Path) -> NamedMatrix:
    """Read a comma-separated confusion matrix, ROWS = PREDICTION, COLUMNS = REFERENCE.

    Two layouts are read: class names both in the first row and in the first column, as
    `write_matrix`, pandas and R's `write.csv` write them; or counts alone (the first cell is a
    count), whose classes are numbered from 0. A count is written in the digits 0…9 alone.

    Raises:
        DataError: no such file, or not a square table of counts; names line and column.
    """
    rows = _read_rows(path)
    named = not _is_count(rows[0].cells[0])
    counts = [_Row(row.line, row.cells[named:]) for row in rows[named:]]
    findings = list(_bad_counts(path, counts, first_column=1 + named))
    if findings:
        raise DataError(*findings)
    matrix = np.array([row.cells for row in counts], dtype=np.int64)
    _check_matrix(path, matrix)
    if not named:
        return NamedMatrix(matrix, tuple(map(str, range(len(matrix)))))
    columns, index = rows[0].cells[1:], [row.cells[0] for row in rows[1:]]
    if columns != index:
        raise DataError(
            f"{path}: columns are {', '.join(columns)} but rows are {', '.join(index)}; both must "
            "name the same classes in the same order"
        )
    if len(set(columns)) < len(columns):
        raise DataError(f"{path}: two classes have the same name among {', '.join(columns)}")
    return NamedMatrix(matrix, tuple(columns))


def _read_rows(path: Path) -> list[_Row]:
    """The rows that are not empty, all of the same width."""
    require_file(path)
    try:
        if path.stat().st_size > MAX_BYTES:
            raise DataError(f"{path}: over {MAX_BYTES >> 20} MB long, no confusion matrix")
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.reader(file, strict=True)
            rows = [_Row(reader.line_num, [cell.strip() for cell in cells]) for cells in reader]
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror}") from None
    except (UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{path}: not a comma-separated UTF-8 text: {error}") from None
    rows = [row for row in rows if any(row.cells)]
    if len(rows) < 2:
        raise DataError(f"{path}: {len(rows)} rows; a confusion matrix has at least 2 classes")
    width = len(rows[0].cells)
    uneven = [
        f"{path}:{row.line}: {len(row.cells)} cells; the first row has {width}"
        for row in rows
        if len(row.cells) != width
    ]
    if uneven:
        raise DataError(*uneven)
    if width < 2:
        raise DataError(f"{path}: one column; the separator must be a comma")
    return rows


def _is_count(text: str) -> bool:
    is_short = len(text.lstrip("0")) <= len(str(LARGEST_COUNT))  # for int, which has a limit
    return text.isascii() and text.isdigit() and is_short and int(text[-99:]) <= LARGEST_COUNT


def _bad_counts(path: Path, rows: list[_Row], *, first_column: int) -> Iterator[str]:
    for row in rows:
        for column, cell in enumerate(row.cells, start=first_column):
            if not _is_count(cell):
                yield f"{path}:{row.line} column {column}: {cell[:40] or 'empty'} {NO_COUNT}"


def _check_matrix(path: Path, matrix: Matrix) -> None:
    rows, columns = matrix.shape
    if rows != columns:
        raise DataError(f"{path}: {rows} rows and {columns} columns of counts; {LAYOUT}")
    if rows < 2:
        raise DataError(f"{path}: 1 class; a confusion matrix has at least 2")
    if not matrix.any():
        raise DataError(f"{path}: every count is 0; there must be at least one prediction")
    if rows > 2 and _ends_in_totals(matrix):
        raise DataError(f"{path}: the last row and column are totals; leave them out")


def _ends_in_totals(matrix: Matrix) -> bool:
    inner = matrix[:-1, :-1]
    by_row = np.append(inner.sum(axis=1), inner.sum())
    by_column = np.append(inner.sum(axis=0), inner.sum())
    return np.array_equal(matrix[:, -1], by_row) and np.array_equal(matrix[-1], by_column)
