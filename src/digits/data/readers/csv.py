"""The CSV of Kaggle's Digit Recognizer: `label,pixel0,pixel1,…`, one image per line."""

import csv
import io
import re
from functools import partial
from itertools import chain
from math import isqrt
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv
from numpy.typing import NDArray

from digits.core.dataset import Dataset
from digits.core.errors import DataError
from digits.data.readers.cells import faults, lines_of
from digits.data.readers.files import (
    CHUNK_BYTES,
    FETCH,
    MAX_LINE_BYTES,
    content_of,
    first_line_of,
    one_line,
    plain,
)

OF_NUMBERS = b"0123456789, \t\r\n"
MIN_BLOCK_BYTES = 1 << 20
MAX_NAME_BYTES = 16  # of a column name with quotes and comma; longer than any cell


def read_csv(path: Path) -> Dataset:
    """Read square images and their labels, strictly: each cell a whole number 0…255.

    A number is written in the digits 0…9 alone; spaces and tabs around it, leading zeros,
    byte-order mark, CRLF and gzip change nothing.

    Raises:
        DataError: another header, or for each bad cell the line (the header is line 1),
            the column, what was found and what is allowed.
    """
    names = header_of(path)
    check_header(path, names)
    check_bytes(path, names)
    content = content_of(path)
    if not content.endswith((b"\n", b"\r")):
        last = sum(1 for _ in lines_of(io.BytesIO(content)))
        raise DataError(
            f"{path}:{last}: ends without a newline, so its last number may be cut off; {FETCH},"
            " or add the newline if the line is whole"
        )
    values = _parsed(path, content, names)
    side = isqrt(len(names) - 1)
    images = np.ascontiguousarray(values[:, 1:]).reshape(-1, side, side)
    return Dataset(images, values[:, 0].astype(np.int64))


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
    line = re.split(rb"[\r\n]", first_line_of(path), maxsplit=1)[0]
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
        near = max(isqrt(pixels), 1)
        raise DataError(
            f"{path}:1: {pixels} pixel columns make no square image; {near}×{near} ="
            f" {near**2} or {near + 1}×{near + 1} = {(near + 1) ** 2} would"
        )


def check_bytes(path: Path, names: list[str]) -> None:
    """Look for what is in no table of whole numbers: Arrow takes 0x1F for a number, too.

    Raises:
        DataError: see `refusal`.
    """
    with plain(path) as stream:
        first = stream.readline(MAX_LINE_BYTES)
        body = re.sub(rb"^[^\r\n]*", b"", first)
        chunks = chain([body], iter(partial(stream.read, CHUNK_BYTES), b""))
        clean = not any(chunk.translate(None, OF_NUMBERS) for chunk in chunks)
    if not clean:
        raise refusal(path, names, "holds what is no whole number")


def refusal(path: Path, names: list[str], reason: object) -> DataError:
    """The faults of a CSV as an error; `reason` where none is found in a line."""
    with plain(path) as stream:
        return DataError(*faults(path, stream, names) or [f"{path}: {one_line(reason)}"])


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
    if name in names[:wrong]:
        return f"column {name} stands twice, as {names.index(name) + 1} and {wrong + 1}"
    if want not in names and name == expected[wrong + 1]:
        return f"column {want} is missing"
    if name in expected:
        return f"column {wrong + 1} is {name} where {want} belongs: wrong order"
    return f"column {wrong + 1} is {name[:40]!r} where {want} belongs"


def _parsed(path: Path, content: bytes, names: list[str]) -> NDArray[np.uint8]:
    """All cells, uint8 (rows, columns)."""
    options = pa.csv.ReadOptions(
        column_names=names,
        skip_rows=1,
        block_size=max(MIN_BLOCK_BYTES, MAX_NAME_BYTES * len(names)),  # a line must fit
    )
    try:
        table = pa.csv.read_csv(
            pa.BufferReader(content),
            read_options=options,
            parse_options=pa.csv.ParseOptions(quote_char=False, ignore_empty_lines=False),
            convert_options=pa.csv.ConvertOptions(
                column_types={name: pa.uint8() for name in names}, null_values=[]
            ),
        )
    except pa.ArrowInvalid as error:
        raise refusal(path, names, error) from None
    batches = [batch.to_tensor().to_numpy() for batch in table.to_batches()]
    return np.concatenate(batches) if batches else np.empty((0, len(names)), np.uint8)
