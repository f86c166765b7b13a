"""Files of data: unpacked, mapped into memory, and recognised by content."""

import gzip
import re
from mmap import ACCESS_READ, mmap
from os import SEEK_END
from pathlib import Path
from typing import NamedTuple

from imageproof.base._dataset import MAX_RATIO, MAX_UNPACKED, Dataset, check_unpacked
from imageproof.base.files import parsing

GZIP_MAGIC = b"\x1f\x8b"
IDX_MAGIC = rb"\0\0[\x08\x09\x0b-\x0e]"  # the third byte is the type of the numbers

Content = mmap | bytes  # of a file, which may be larger than the memory


class Part(NamedTuple):
    """The images of a training or test part, and the file that they are in."""

    file: Path
    data: Dataset


def read_content(path: Path) -> Content:
    """What is in a file, mapped; a gzipped one is unpacked into memory."""
    with parsing("raw data", path), path.open("rb") as file:
        is_packed = file.read(2) == GZIP_MAGIC
        size = file.seek(0, SEEK_END)
        if not is_packed:
            return mmap(file.fileno(), size, access=ACCESS_READ) if size else b""

        with gzip.open(path) as packed:
            content = packed.read(max(MAX_UNPACKED, MAX_RATIO * size) + 1)
        check_unpacked(len(content), packed=size)
        return content


def format_of(content: Content) -> str:
    """IDX, npz or Parquet, by the first bytes; what is none of these is taken for a CSV."""
    if content[:2] == b"PK":
        return "npz"
    if content[:4] == b"PAR1":
        return "Parquet"
    return "IDX" if re.match(IDX_MAGIC, content) else "CSV"
