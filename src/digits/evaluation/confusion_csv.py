"""Confusion matrices as CSV: rows are predictions, columns the reference, names optional."""

import csv
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from digits.core.dataset import Matrix
from digits.core.errors import DataError
from digits.core.files import require_file

LARGEST_COUNT = 10**12
MAX_BYTES = 64 << 20  # some thousand classes
NO_COUNT = f"is no count; allowed are whole numbers 0…{LARGEST_COUNT:,}"


class NamedMatrix(NamedTuple):
    """A confusion matrix int64 (classes, classes), rows = prediction, and its classes' names."""

    matrix: Matrix
    classes: tuple[str, ...]


class _Row(NamedTuple):
    line: int
    cells: list[str]


def read_matrix(path: Path) -> NamedMatrix:
    """Read a comma-separated confusion matrix, ROWS = PREDICTION, COLUMNS = REFERENCE.

    A first row and a first column of class names are recognised, as pandas and R write them;
    without either the classes are numbered from 0. Names that are whole numbers must stand
    both in the first row and in the first column: in one alone they could be counts of a table
    that is not square. A count is written in the digits 0…9 alone.

    Raises:
        DataError: no such file, or not a square table of counts; names line and column.
    """
    rows = _read_rows(path)
    has_index = _has_index(rows)
    has_header = _has_header(rows, has_index)
    body = rows[has_header:]
    counts = [row.cells[has_index:] for row in body]
    _check_square(path, counts)
    findings = list(_bad_counts(path, body, has_index))
    if findings:
        raise DataError(*findings)
    matrix = np.array(counts, dtype=np.int64)
    _check_meaning(path, matrix)
    header = tuple(rows[0].cells[has_index:]) if has_header else None
    index = tuple(row.cells[0] for row in body) if has_index else None
    return NamedMatrix(matrix, _names(path, header, index, len(matrix)))


def _read_rows(path: Path) -> list[_Row]:
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
    if len(rows[0].cells) == len(rows[1].cells) - 1:  # R's write.table leaves the corner out
        rows[0].cells.insert(0, "")
    return _of_equal_width(path, rows)


def _of_equal_width(path: Path, rows: list[_Row]) -> list[_Row]:
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


def _has_index(rows: Sequence[_Row]) -> bool:
    width = len(rows[0].cells)
    named = all(not _is_number(row.cells[0]) for row in rows[1:])
    numbered_with_corner = len(rows) == width and not _is_number(rows[0].cells[0])
    one_more = width == len(rows) + 1 and not _are_counts([row.cells[0] for row in rows])
    return named or numbered_with_corner or one_more


def _has_header(rows: Sequence[_Row], has_index: bool) -> bool:
    first = rows[0].cells[has_index:]
    one_more = len(rows) == len(first) + 1 and (has_index or not _are_counts(first))
    return one_more or not any(map(_is_number, first))


def _are_counts(cells: Sequence[str]) -> bool:
    return all(map(_is_count, cells))


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _is_count(text: str) -> bool:
    is_short = len(text.lstrip("0")) <= len(str(LARGEST_COUNT))  # for int, which has a limit
    return text.isascii() and text.isdigit() and is_short and int(text[-99:]) <= LARGEST_COUNT


def _check_square(path: Path, counts: Sequence[Sequence[str]]) -> None:
    if len(counts) != len(counts[0]):
        raise DataError(
            f"{path}: {len(counts)} rows and {len(counts[0])} columns of counts; a confusion "
            "matrix has one row (prediction) and one column (reference) per class, and class "
            "numbers both above and before the counts, or none"
        )
    if len(counts) < 2:
        raise DataError(f"{path}: 1 class; a confusion matrix has at least 2")


def _bad_counts(path: Path, body: Sequence[_Row], has_index: bool) -> Iterator[str]:
    for row in body:
        for column, cell in enumerate(row.cells[has_index:], start=1 + has_index):
            if not _is_count(cell):
                yield f"{path}:{row.line} column {column}: {cell[:40] or 'empty'} {NO_COUNT}"


def _check_meaning(path: Path, matrix: Matrix) -> None:
    if not matrix.any():
        raise DataError(f"{path}: every count is 0; there must be at least one prediction")
    if len(matrix) > 2 and _ends_in_totals(matrix):
        raise DataError(f"{path}: the last row and column are totals; leave them out")


def _ends_in_totals(matrix: Matrix) -> bool:
    inner = matrix[:-1, :-1]
    by_row = np.append(inner.sum(axis=1), inner.sum())
    by_column = np.append(inner.sum(axis=0), inner.sum())
    return np.array_equal(matrix[:, -1], by_row) and np.array_equal(matrix[-1], by_column)


def _names(
    path: Path, header: tuple[str, ...] | None, index: tuple[str, ...] | None, classes: int
) -> tuple[str, ...]:
    if header and index and header != index:
        raise DataError(
            f"{path}: columns are {', '.join(header)} but rows are {', '.join(index)}; both must "
            "name the same classes in the same order"
        )
    names = header or index or tuple(map(str, range(classes)))
    if len(set(names)) < classes:
        raise DataError(f"{path}: two classes have the same name among {', '.join(names)}")
    return names
