"""Confusion matrices as CSV: rows are predictions, columns the reference."""

import csv
from collections.abc import Mapping
from itertools import chain
from pathlib import Path

import numpy as np

from digits.core.dataset import Matrix
from digits.core.errors import DataError
from digits.core.files import replacing

MAX_DIGITS = 12
MAX_BYTES = 64 << 20  # some thousand classes
LAYOUT = (
    "a confusion matrix has the same class names, each once, in its first row (reference) and in "
    "its first column (prediction), or holds counts alone, separated by commas"
)


def write_matrix(path: Path, matrix: Matrix, *, names: list[str]) -> None:
    """Write a confusion matrix int64 (classes, classes) with the names of its classes."""
    import pandas as pd

    with replacing(path) as temporary:
        frame = pd.DataFrame(matrix, index=names, columns=names)
        frame.to_csv(temporary, index_label="prediction")


def write_cells(path: Path, matrices: Mapping[str, tuple[Matrix, list[str]]]) -> None:
    """Write the matrices of several models as rows `model prediction reference count`.

    The correct cells of a model come first, in the order of its classes, which plots take for
    their axes; then those errors that occur.
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
    """Read a confusion matrix int64 (classes, classes), and the names of its classes.

    Class names stand in the first row and the first column; or, if the first cell is a number,
    there are none, and the classes are numbered from 0.

    Raises:
        DataError: no such file, or not a square table of counts.
    """
    rows = _read_rows(path)
    named = not rows[0][0].lstrip("+-").replace(".", "", 1).isdecimal()
    names = rows[0][1:] if named else list(map(str, range(len(rows))))
    cells = [row[1:] for row in rows[1:]] if named else rows
    columns = [row[0] for row in rows[1:]] if named else names
    sizes = {len(cells), len({*names}), *map(len, cells)}
    if len(names) < 2 or names != columns or sizes != {len(names)}:
        raise DataError(f"{path}: is no square table of at least 2 classes; {LAYOUT}")
    for cell in chain.from_iterable(cells):
        if not (cell.isascii() and cell.isdecimal() and len(cell) <= MAX_DIGITS):
            found = cell[:40] or "empty"
            raise DataError(f"{path}: {found} is no count: a whole number of up to 12 digits")
    matrix = np.array(cells, dtype=np.int64)
    if not matrix.any():
        raise DataError(f"{path}: every count is 0; there must be at least one prediction")
    inner = matrix[:-1, :-1]
    totals = [*inner.sum(axis=0), inner.sum()], [*inner.sum(axis=1), inner.sum()]
    if len(names) > 2 and np.array_equal((matrix[-1], matrix[:, -1]), totals):
        raise DataError(f"{path}: the last row and column are totals; leave them out")
    return matrix, names


def _read_rows(path: Path) -> list[list[str]]:
    """The rows that are not empty; at least one."""
    try:
        if path.stat().st_size > MAX_BYTES:
            raise DataError(f"{path}: over {MAX_BYTES >> 20} MB long, no confusion matrix")
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = [[cell.strip() for cell in row] for row in csv.reader(file, strict=True)]
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror}") from None
    except (UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{path}: not a comma-separated UTF-8 text: {error}") from None
    return [row for row in rows if any(row)] or [[""]]
