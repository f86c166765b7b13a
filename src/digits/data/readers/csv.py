"""The CSV of Kaggle's Digit Recognizer: `label,pixel0,pixel1,…`, one image per line."""

import csv
import io
import re
from collections import deque
from collections.abc import Iterator
from math import isqrt
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv
from numpy.typing import NDArray

from digits.core.dataset import Dataset
from digits.core.errors import DataError, one_line
from digits.data.readers.files import FETCH, plain

BLOCK_BYTES = 4 << 20
MAX_HEADER_BYTES = 16 << 20  # a million names of columns
MAX_NAME_BYTES = 16  # of a column name with quotes and comma; longer than any cell


def read_csv(path: Path) -> Dataset:
    """Read square images and their labels, strictly: each cell a whole number 0…255.

    A number consists of the digits 0…9 only. Spaces and tabs around it, leading zeros, a
    byte-order mark, CRLF and gzip are allowed.

    Raises:
        DataError: the header differs, or a cell or line is bad. The finding names the first
            one by line (the header is line 1) and column.
    """
    names = header_of(path)
    check_header(path, names)
    _require_last_newline(path)
    values = np.concatenate([np.empty((0, len(names)), np.uint8), *read_blocks(path, names)])
    side = isqrt(len(names) - 1)
    images = np.ascontiguousarray(values[:, 1:]).reshape(-1, side, side)
    return Dataset(images, values[:, 0].astype(np.int64))


def read_blocks(path: Path, names: list[str]) -> Iterator[NDArray[np.uint8]]:
    """Yield the cells below the header, uint8 (rows, columns), a few megabytes at a time.

    Raises:
        DataError: see `read_csv`.
    """
    _check_no_hexadecimal(path, names)
    types = {name: pa.uint8() for name in names}
    block_size = max(BLOCK_BYTES, MAX_NAME_BYTES * len(names))  # the header must fit in one block
    try:
        with plain(path) as stream:
            yield from (
                block.to_tensor().to_numpy()
                for block in pa.csv.open_csv(
                    stream,
                    # only a single thread counts rows, so that an error names its row
                    pa.csv.ReadOptions(
                        use_threads=False, column_names=names, skip_rows=1, block_size=block_size
                    ),
                    pa.csv.ParseOptions(quote_char=False, ignore_empty_lines=False),
                    pa.csv.ConvertOptions(column_types=types, null_values=[]),
                )
            )
    except pa.ArrowInvalid as error:
        raise DataError(_finding(path, names, str(error))) from None


def unlabelled(path: Path) -> bool:
    """Whether this is one of Kaggle's files without labels: `pixel0,…` or `ImageId,Label`."""
    names = header_of(path)
    pixels_only = bool(names) and names == _expected(len(names) + 1)[1:]
    return pixels_only or names == ["ImageId", "Label"]


def header_of(path: Path) -> list[str]:
    """The column names in the first line.

    Raises:
        DataError: the line is not UTF-8.
    """
    with plain(path) as stream:
        line = re.split(rb"[\r\n]", stream.readline(MAX_HEADER_BYTES), maxsplit=1)[0]
    try:
        return next(csv.reader([line.decode("utf-8-sig")]), [])
    except (UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{path}:1: header is no CSV text in UTF-8 ({error})") from None


def check_header(path: Path, names: list[str]) -> None:
    """Accept `label,pixel0,…,pixelN-1` with a square N only.

    Raises:
        DataError: the first way in which it differs.
    """
    expected = _expected(len(names) + 1)
    wrong = next((i for i, name in enumerate(names) if name != expected[i]), None)
    if wrong is not None or not names:
        fault = _header_fault(names, expected, wrong or 0)
        raise DataError(f"{path}:1: {fault}; the header must be label,pixel0,pixel1,…")
    pixels = len(names) - 1
    if not pixels or isqrt(pixels) ** 2 != pixels:
        raise DataError(f"{path}:1: {pixels} pixel columns make no square image; 784 = 28×28 would")


def _expected(count: int) -> list[str]:
    return ["label", *(f"pixel{i}" for i in range(count - 1))]


def _header_fault(names: list[str], expected: list[str], wrong: int) -> str:
    """What is wrong with the first column that has another name than expected."""
    if not names:
        return "the line is empty"
    name, want = names[wrong], expected[wrong]
    if len(names) == 1 and (mark := re.match(r"\W*label\W*([^\w\"'])", name)):
        return f"columns are separated by {mark[1]!r}, not by a comma"
    if wrong == 0 and name in ("", "Unnamed: 0") and want in names:
        return "column 1 is a pandas index column (write the file with index=False)"
    if name and all(re.fullmatch(r"-?[\d.]+", cell) for cell in names):
        return "the header is missing, the first line holds numbers"
    if want not in names and name == expected[wrong + 1]:
        return f"column {want} is missing"
    return f"column {wrong + 1} is {name[:40]!r} where {want} belongs"


def _require_last_newline(path: Path) -> None:
    [(number, line)] = deque(_numbered_lines(path), maxlen=1)
    if not line.endswith("\n"):
        raise DataError(
            f"{path}:{number}: ends without a newline, so its last number may be cut off; {FETCH},"
            " or add the newline if the line is whole"
        )


def _check_no_hexadecimal(path: Path, names: list[str]) -> None:
    """Refuse cells such as 0x1F, which Arrow reads as numbers."""
    for number, line in _numbered_lines(path):
        if number > 1 and "x" in (lower := line.lower()):
            column = line.count(",", 0, lower.index("x"))
            cell = line.split(",")[column].strip()
            raise DataError(_cell_fault(f"{path}:{number}", names, column, cell))


def _numbered_lines(path: Path) -> Iterator[tuple[int, str]]:
    """The lines with their numbers from 1; each but a cut-off last one ends in a line feed."""
    with plain(path) as stream, io.TextIOWrapper(stream, encoding="latin-1") as text:
        yield from enumerate(text, start=1)


def _finding(path: Path, names: list[str], message: str) -> str:
    """Arrow's error message as a finding with line and column."""
    if cell := re.match(r"In CSV column #(\d+): Row #(\d+): .*: invalid value '(.*)'", message):
        return _cell_fault(f"{path}:{cell[2]}", names, int(cell[1]), cell[3])
    if line := re.match(r"CSV parse error: Row #(\d+): Expected (\d+) columns, got (\d+)", message):
        return f"{path}:{line[1]}: {line[3]} cells; {line[2]} are allowed, one per column"
    return f"{path}: {one_line(message)}"


def _cell_fault(where: str, names: list[str], column: int, value: str) -> str:
    name = names[column] if column < len(names) else column + 1
    return f"{where} column {name}: {value[:40]!r} is no whole number 0..255"
