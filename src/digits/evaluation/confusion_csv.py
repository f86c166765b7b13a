"""Confusion matrices as CSV: rows are predictions, columns the reference."""

import csv
from collections.abc import Mapping
from pathlib import Path

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


def write_matrix(path: Path, matrix: Matrix, *, names: list[str]) -> None:
    """Write a confusion matrix int64 (classes, classes) with the names of its classes."""
    import pandas as pd

    frame = pd.DataFrame(matrix, index=names, columns=names)
    with replacing(path) as temporary:
        frame.to_csv(temporary, index_label="prediction")


def write_cells(path: Path, matrices: Mapping[str, tuple[Matrix, list[str]]]) -> None:
    """Write the matrices of several models, each with its class names, as one table.

    A row is a cell: `model prediction reference count`. The correct cells of a model come first,
    in the order of its classes, which plots take for their axes; then those errors that occur.
    """
    with replacing(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["model", "prediction", "reference", "count"])
        for model, (matrix, names) in matrices.items():
            correct = np.eye(len(names), dtype=bool)
            errors = np.where(correct, 0, matrix)
            for row, column in [*np.argwhere(correct), *np.argwhere(errors)]:
                writer.writerow([model, names[row], names[column], matrix[row, column]])


def read_matrix(path: Path) -> tuple[Matrix, list[str]]:
    """Read a comma-separated confusion matrix, ROWS = PREDICTION, COLUMNS = REFERENCE.

    Returns it as int64 (classes, classes), and the names of its classes.

    Two layouts are read: class names both in the first row and in the first column, as
    `write_matrix`, pandas and R's `write.csv` write them; or counts alone (the first cell is a
    number), whose classes are numbered from 0. A count is written in the digits 0…9 alone.

    Raises:
        DataError: no such file, or not a square table of counts; names line and column.
    """
    rows = _read_rows(path)
    header = next(iter(rows.values()))
    named = not _is_number(header[0])
    counts = {line: cells[named:] for line, cells in [*rows.items()][named:]}
    bad_counts = [
        f"{path}:{line} column {column}: {cell[:40] or 'empty'} {NO_COUNT}"
        for line, cells in counts.items()
        for column, cell in enumerate(cells, start=1 + named)
        if not _is_count(cell)
    ]
    if bad_counts:
        raise DataError(*bad_counts)
    matrix = np.array([*counts.values()], dtype=np.int64)
    _check_matrix(path, matrix)
    if not named:
        return matrix, [str(label) for label in range(len(matrix))]
    columns, index = header[1:], [rows[line][0] for line in counts]
    if columns != index:
        raise DataError(
            f"{path}: columns are {', '.join(columns)} but rows are {', '.join(index)}; both must "
            "name the same classes in the same order"
        )
    if len(set(columns)) < len(columns):
        raise DataError(f"{path}: two classes have the same name among {', '.join(columns)}")
    return matrix, columns


def _read_rows(path: Path) -> dict[int, list[str]]:
    """The rows that are not empty, all of the same width, by the number of their line."""
    require_file(path)
    try:
        if path.stat().st_size > MAX_BYTES:
            raise DataError(f"{path}: over {MAX_BYTES >> 20} MB long, no confusion matrix")
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.reader(file, strict=True)
            lines = [(reader.line_num, [cell.strip() for cell in cells]) for cells in reader]
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror}") from None
    except (UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{path}: not a comma-separated UTF-8 text: {error}") from None
    rows = {number: cells for number, cells in lines if any(cells)}
    if len(rows) < 2:
        raise DataError(f"{path}: {len(rows)} rows; a confusion matrix has at least 2 classes")
    width = len(next(iter(rows.values())))
    uneven = [
        f"{path}:{line}: {len(cells)} cells; the first row has {width}"
        for line, cells in rows.items()
        if len(cells) != width
    ]
    if uneven:
        raise DataError(*uneven)
    if width < 2:
        raise DataError(f"{path}: one column; the separator must be a comma")
    return rows


def _is_count(text: str) -> bool:
    is_short = len(text.lstrip("0")) <= len(str(LARGEST_COUNT))  # for int, which has a limit
    return text.isascii() and text.isdigit() and is_short and int(text[-99:]) <= LARGEST_COUNT


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _check_matrix(path: Path, matrix: Matrix) -> None:
    rows, columns = matrix.shape
    if rows != columns:
        raise DataError(f"{path}: {rows} rows and {columns} columns of counts; {LAYOUT}")
    if rows < 2:
        raise DataError(f"{path}: 1 class; a confusion matrix has at least 2")
    if not matrix.any():
        raise DataError(f"{path}: every count is 0; there must be at least one prediction")
    last_row_is_total = np.array_equal(matrix[-1], matrix[:-1].sum(axis=0))
    last_column_is_total = np.array_equal(matrix[:, -1], matrix[:, :-1].sum(axis=1))
    if rows > 2 and last_row_is_total and last_column_is_total:
        raise DataError(f"{path}: the last row and column are totals; leave them out")
