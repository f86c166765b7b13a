"""Files of a raw data folder: their unpacked content, and the format recognised by content."""

import gzip
import io
import zlib
from functools import partial
from pathlib import Path
from typing import Literal

from digits.core.dataset import check_unpacked
from digits.core.errors import DataError, one_line
from digits.core.files import require_file

Format = Literal["IDX", "CSV", "npz"]

GZIP_MAGIC = b"\x1f\x8b"
IDX_TYPES = b"\x08\x09\x0b\x0c\x0d\x0e"  # http://yann.lecun.com/exdb/mnist
FETCH = "`dvc pull` fetches it anew"


def data_files(folder: Path) -> list[Path]:
    """The files directly in a folder, sorted by name, without hidden ones.

    Raises:
        DataError: the folder is missing, unreadable or empty.
    """
    try:
        files = [path for path in sorted(folder.iterdir()) if not path.is_dir()]
    except FileNotFoundError:
        raise DataError(f"{folder}: not found; `dvc pull` fetches the data") from None
    except OSError as error:
        raise DataError(f"{folder}: cannot be read as a folder: {error.strerror}") from None
    visible = [path for path in files if not path.name.startswith(".")]
    if not visible:
        raise DataError(f"{folder}: no data files in it; `dvc pull` fetches the data")
    return visible


def content_of(path: Path) -> bytes:
    """The whole content of a file, unpacked if it is gzipped.

    Raises:
        DataError: it cannot be read, its gzip is damaged, or unpacks to too many bytes.
    """
    require_file(path)
    try:
        content = path.read_bytes()
        return _unpacked(content) if content.startswith(GZIP_MAGIC) else content
    except (EOFError, zlib.error, gzip.BadGzipFile, ValueError) as error:
        raise DataError(f"{path}: cannot be read as gzip: {one_line(error)}; {FETCH}") from None
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror}") from None


def _unpacked(content: bytes) -> bytes:
    pieces, size = [], 0
    with gzip.GzipFile(fileobj=io.BytesIO(content)) as file:
        for piece in iter(partial(file.read, 1 << 20), b""):
            check_unpacked(size := size + len(piece), packed=len(content))
            pieces.append(piece)
    return b"".join(pieces)


def format_of(content: bytes) -> Format:
    """The format by the first bytes; all that is neither IDX nor a zip counts as CSV."""
    if content.startswith(b"PK"):
        return "npz"
    is_idx = len(content) > 2 and content[:2] == b"\0\0" and content[2] in IDX_TYPES
    return "IDX" if is_idx else "CSV"
