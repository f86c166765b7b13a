"""Files of a raw data folder: their unpacked content, and the format recognised by content."""

import gzip
import io
import zlib
from functools import partial
from pathlib import Path
from typing import Literal

from digits.core.dataset import check_unpacked
from digits.core.errors import DataError, one_line

Format = Literal["IDX", "CSV", "npz"]

GZIP_MAGIC = b"\x1f\x8b"
IDX_TYPES = b"\x08\x09\x0b\x0c\x0d\x0e"  # http://yann.lecun.com/exdb/mnist
FETCH = "`dvc pull` fetches the data"


def data_files(folder: Path) -> list[Path]:
    """The files directly in a folder, sorted by name, without hidden ones; DataError if none."""
    found = sorted(folder.iterdir()) if folder.is_dir() else []
    files = [path for path in found if not path.is_dir() and not path.name.startswith(".")]
    if not files:
        raise DataError(f"{folder}: no data files found; `dvc pull` fetches the data")
    return files


def content_of(path: Path) -> bytes:
    """The whole content of a file, unpacked if it is gzipped.

    Raises:
        DataError: it cannot be read, its gzip is damaged, or unpacks to too many bytes.
    """
    try:
        content, pieces, size = path.read_bytes(), [], 0
        if not content.startswith(GZIP_MAGIC):
            return content
        with gzip.GzipFile(fileobj=io.BytesIO(content)) as file:
            for piece in iter(partial(file.read, 1 << 20), b""):
                check_unpacked(size := size + len(piece), packed=len(content))
                pieces.append(piece)
        return b"".join(pieces)
    except (OSError, EOFError, zlib.error, ValueError) as error:
        raise DataError(f"{path}: cannot be read: {one_line(error)}; {FETCH}") from None


def format_of(content: bytes) -> Format:
    """The format by the first bytes; all that is neither IDX nor a zip counts as CSV."""
    if content.startswith(b"PK"):
        return "npz"
    is_idx = len(content) > 2 and content[:2] == b"\0\0" and content[2] in IDX_TYPES
    return "IDX" if is_idx else "CSV"
