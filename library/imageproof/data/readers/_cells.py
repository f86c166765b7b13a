"""A CSV of pixels: a column for each, `pixel0`, `pixel1`, …"""

import csv
import re
from collections.abc import Iterator, Sequence
from math import isqrt
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv
from numpy.typing import NDArray

from imageproof.base._dataset import Dataset
from imageproof.base.errors import DataError
from imageproof.base.text import one_line
from imageproof.data.readers._contents import Content
from imageproof.data.readers._table import by_line

BLOCK_BYTES = 16 << 20  # that are read at once; the header must fit
ALLOWED = "whole numbers 0..255 are allowed"


def read_header(content: Content) -> list[str]:
    """The names of all columns."""
    return _first_line(content).decode("utf-8-sig", errors="replace").replace('"', "").split(",")


def read_cells(
    path: Path,
    content: Content,
    columns: Sequence[str],
) -> Iterator[NDArray[np.uint8]]:
    """The values of these columns in the order of the file, block by block.

    A DataError names the row of a value that is no whole number 0…255.
    """
    header_end = len(_first_line(content))
    # pyarrow takes "7"7 for 77, and a last cell that is cut off for a whole one
    if content.find(b'"', header_end) >= 0:
        lines = re.finditer(rb"[^\r\n]*(\r\n?|\n|\Z)", content)
        reader = csv.reader((line[0].decode("latin-1") for line in lines), strict=True)
        for _ in by_line(path, reader, len(read_header(content))):
            pass
    # as an integer pyarrow takes 0x10 for 16, as a float it refuses it
    has_x = re.compile(b"[xX]").search(content, header_end)
    try:
        for _ in _blocks(content, columns, pa.float32()) if has_x else ():
            pass
        for block in _blocks(content, columns, pa.uint8()):
            yield block.to_tensor().to_numpy()
    except pa.ArrowException as error:
        raise DataError(f"{path}: {one_line(error, width=200)}; {ALLOWED}") from None


def read_labelled(path: Path, content: Content) -> Dataset:
    """The square images of a CSV `label,pixel0,pixel1,…`, as Kaggle's Digit Recognizer has it."""
    names = read_header(content)
    side = isqrt(len(names) - 1)
    if not side or names != ["label", *pixel_names(side**2)]:
        raise DataError(
            f"{path}:1: {len(names)} columns {one_line(', '.join(names), width=40)!r} "
            "in the header; label,pixel0,pixel1,… of a square image is allowed"
        )

    empty = np.empty((0, len(names)), np.uint8)
    cells = np.concatenate([empty, *read_cells(path, content, names)])
    images = np.ascontiguousarray(cells[:, 1:]).reshape(-1, side, side)
    return Dataset(images, cells[:, 0].astype(np.int64))


def pixel_names(count: int) -> list[str]:
    """The columns of so many pixels, row by row."""
    return [f"pixel{number}" for number in range(count)]


def _first_line(content: Content) -> bytes:
    return re.split(rb"[\r\n]", content[:BLOCK_BYTES], maxsplit=1)[0]


def _blocks(
    content: Content, columns: Sequence[str], kind: pa.DataType
) -> pa.csv.CSVStreamingReader:
    # a single thread counts rows, so that an error names its row
    options = pa.csv.ReadOptions(use_threads=False, block_size=BLOCK_BYTES)
    conversion = pa.csv.ConvertOptions(
        column_types=dict.fromkeys(columns, kind),
        include_columns=columns,
        null_values=[],
    )
    source = pa.BufferReader(pa.py_buffer(content))
    return pa.csv.open_csv(source, options, convert_options=conversion)
