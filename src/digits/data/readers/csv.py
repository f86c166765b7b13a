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


def read_csv(path: Path, content: bytes) -> Dataset:
    """Read square images and their labels; each cell is a whole number 0…255, spaces aside."""
    header = re.split(rb"[\r\n]", content[:BLOCK_BYTES], maxsplit=1)[0]
    names = header.decode("utf-8-sig", errors="replace").replace('"', "").split(",")
    side = isqrt(len(names) - 1)
    if not side or names != ["label", *(f"pixel{i}" for i in range(side**2))]:
        allowed = "label,pixel0,pixel1,… of a square image is allowed"
        found = f"{len(names)} columns {one_line(', '.join(names), width=40)!r}"
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
    values = table.to_pandas().to_numpy()
    images = np.ascontiguousarray(values[:, 1:]).reshape(-1, side, side)
    return Dataset(images, values[:, 0].astype(np.int64))
