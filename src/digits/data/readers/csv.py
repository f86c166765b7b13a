"""The CSV of Kaggle's Digit Recognizer: `label,pixel0,pixel1,…`, one image per line."""

import re
from math import isqrt
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv

from digits.core.dataset import Dataset
from digits.core.errors import DataError, one_line

BLOCK_BYTES = 16 << 20  # in which the header must fit
UNLABELLED = ("pixel0", "ImageId")  # the first column of Kaggle's test and sample files


def header_of(content: bytes) -> list[str]:
    """The column names in the first line."""
    line = re.split(rb"[\r\n]", content[:BLOCK_BYTES], maxsplit=1)[0]
    names = line.decode("utf-8-sig", errors="replace").split(",")
    return [name.strip('"') for name in names]


def read_csv(path: Path, content: bytes) -> Dataset:
    """Read square images and their labels; each cell is a whole number 0…255.

    Raises:
        DataError: the header differs, or a cell or line is bad.
    """
    names = header_of(content)
    expected = ["label", *(f"pixel{i}" for i in range(len(names) - 1))]
    wrong = [name for name, want in zip(names, expected, strict=True) if name != want]
    side = isqrt(len(names) - 1)
    if wrong or side**2 != len(names) - 1 or not side:
        found = f"column {one_line(wrong[0], width=40)!r}" if wrong else f"{len(names)} columns"
        allowed = "label,pixel0,pixel1,… of a square image is allowed"
        raise DataError(f"{path}:1: {found} in the header; {allowed}")
    try:
        table = pa.csv.read_csv(
            pa.BufferReader(content),
            # a single thread counts rows, so that an error names its row
            pa.csv.ReadOptions(use_threads=False, block_size=BLOCK_BYTES),
            convert_options=pa.csv.ConvertOptions(
                column_types=dict.fromkeys(names, pa.uint8()), null_values=[]
            ),
        )
    except pa.ArrowInvalid as error:
        reason = one_line(error, width=200)
        raise DataError(f"{path}: {reason}; whole numbers 0..255 are allowed") from None
    rows = [batch.to_tensor().to_numpy() for batch in table.to_batches()]
    values = np.concatenate([np.empty((0, len(names)), np.uint8), *rows])
    images = np.ascontiguousarray(values[:, 1:]).reshape(-1, side, side)
    return Dataset(images, values[:, 0].astype(np.int64))
