"""A table that a person writes: CSV in UTF-8, whose first line names the columns."""

import csv
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO, Any

import pandas as pd

from imageproof.base._class_names import spelled
from imageproof.base.errors import DataError
from imageproof.base.files import parsing
from imageproof.base.text import one_line


def read_table(path: Path, columns: Sequence[str]) -> pd.DataFrame:
    """The rows as texts, "" where a row is short; the index is the line that each begins in.

    It has these columns, and others. A DataError if a row is too long.
    """
    with parsing("a table", path), path.open(encoding="utf-8-sig", newline="") as file:
        try:
            return _read(path, file, columns)
        except UnicodeError:
            raise DataError(f"{path}: is not in UTF-8; save it as «CSV UTF-8»") from None


def _read(path: Path, file: IO[str], columns: Sequence[str]) -> pd.DataFrame:
    reader = csv.reader(file, strict=True)
    header = [*map(spelled, next(reader, []))]
    if not {*columns} <= {*header} or "" in header or len({*header}) < len(header):
        allowed = f"{','.join(columns)} and other names are needed, each once"
        raise DataError(f"{path}:1: {one_line(','.join(header))}; {allowed}")
    rows = dict(by_line(path, reader, len(header)))
    return pd.DataFrame([*rows.values()], [*rows], columns=header, dtype="str")


def by_line(path: Path, reader: Any, columns: int) -> Iterator[tuple[int, list[str]]]:
    """The line that each row begins in, and its values; blank lines are none."""
    line = reader.line_num + 1
    try:
        for row in reader:
            if len(row) > columns:
                mend = 'put a value that has a comma between "'
                raise DataError(f"{path}:{line}: {len(row)} values for {columns} columns; {mend}")
            if row:
                yield line, row + [""] * (columns - len(row))
            line = reader.line_num + 1
    except csv.Error as error:
        raise DataError(f"{path}:{line}: the row that begins here is no CSV: {error}") from None
