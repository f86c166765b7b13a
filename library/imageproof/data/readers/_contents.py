"""Files of data: unpacked, mapped into memory, and recognised by content."""

import gzip
import re
from mmap import ACCESS_READ, mmap
from os import SEEK_END
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO, Literal, NamedTuple

from imageproof.base._dataset import Dataset, check_unpacked
from imageproof.base.files import parsing

PIECE = 1 << 20  # bytes that are unpacked at once
GZIP_MAGIC = b"\x1f\x8b"
IDX_MAGIC = rb"\0\0[\x08\x09\x0b-\x0e]"  # the third byte is the type of the numbers

Format = Literal["IDX", "npz", "Parquet", "CSV"]


class MappedFile(mmap):
    """A file mapped into memory: it may be larger than the memory."""

    def seekable(self) -> bool:  # zipfile asks for it; Python 3.13 has it
        return True


Content = MappedFile | bytes


class Part(NamedTuple):
    """The images of a training or test part, and the file that they are in."""

    file: Path
    data: Dataset


def read_content(path: Path, scratch: Path | None = None) -> Content:
    """What is in a file, gzipped or not.

    A packed file is unpacked into the folder `scratch`, or that of temporary files.
    """
    with parsing("raw data", path), path.open("rb") as file:
        if file.read(2) != GZIP_MAGIC:
            return _mapped(file)

        size = file.seek(0, SEEK_END)
        with gzip.open(path) as packed, TemporaryFile(dir=scratch) as unpacked:
            while piece := packed.read(PIECE):
                unpacked.write(piece)
                check_unpacked(unpacked.tell(), packed=size)
            return _mapped(unpacked)


def format_of(content: Content) -> Format:
    """The format by the first bytes; what is none of the others is taken for a CSV."""
    if content[:2] == b"PK":
        return "npz"
    if content[:4] == b"PAR1":
        return "Parquet"
    return "IDX" if re.match(IDX_MAGIC, content) else "CSV"


def _mapped(file: IO[bytes]) -> Content:
    file.flush()
    size = file.seek(0, SEEK_END)
    return MappedFile(file.fileno(), size, access=ACCESS_READ) if size else b""
