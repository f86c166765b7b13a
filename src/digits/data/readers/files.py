"""Files of a raw data folder: unpacked content, and the format recognised by content."""

import gzip
import io
import os
import re
import zipfile
import zlib
from codecs import BOM_UTF8, BOM_UTF16_BE, BOM_UTF16_LE
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, Literal

from digits.core.dataset import check_unpacked
from digits.core.errors import DataError, one_line
from digits.core.files import require_file

Format = Literal["IDX", "CSV", "npz"]

GZIP_MAGIC = b"\x1f\x8b"
IDX_TYPES = b"\x08\x09\x0b\x0c\x0d\x0e"  # http://yann.lecun.com/exdb/mnist
FETCH = "`dvc pull` fetches it anew"
HEAD_BYTES = 4096
UNPACK_BYTES = 1 << 20


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
        DataError: the file cannot be read, or its gzip is damaged or cut off.
    """
    with plain(path) as stream:
        return stream.read()


def format_of(path: Path, *, allowed: str = "IDX, Kaggle CSV or Keras npz is read") -> Format:
    """Recognise the format of a file by its first bytes; any plain text counts as CSV.

    Raises:
        DataError: it has another format. The finding names that format, then `allowed`.
    """
    with plain(path) as stream:
        head = stream.read(HEAD_BYTES)
    if len(head) > 2 and head[:2] == b"\0\0" and head[2] in IDX_TYPES:
        return "IDX"
    if head.startswith(b"PK"):
        return _zip_format(path)
    if other := _other_format(head):
        raise DataError(f"{path}: {other}; {allowed}")
    return "CSV"


class _Unpacked(io.RawIOBase):
    """The content of a gzip; reading fails once it exceeds the limits of `check_unpacked`."""

    def __init__(self, path: Path, file: IO[bytes]) -> None:
        self._path = path
        self._packed = os.fstat(file.fileno()).st_size
        self._stream = gzip.GzipFile(fileobj=file)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        count = self._stream.readinto(buffer)
        try:
            check_unpacked(self._stream.tell(), packed=self._packed)
        except ValueError as error:
            raise DataError(f"{self._path}: gzip {error}") from None
        return count


@contextmanager
def plain(path: Path) -> Iterator[IO[bytes]]:
    """The content of a file as a stream, unpacked if it is gzipped; see `content_of`."""
    require_file(path)
    try:
        with path.open("rb") as raw:
            packed = raw.peek(2).startswith(GZIP_MAGIC)
            yield io.BufferedReader(_Unpacked(path, raw), UNPACK_BYTES) if packed else raw
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        reason = str(error).rstrip(".")
        raise DataError(f"{path}: gzip is damaged or cut off ({reason}); {FETCH}") from None
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror}") from None


def _zip_format(path: Path) -> Format:
    try:
        names = zipfile.ZipFile(io.BytesIO(content_of(path))).namelist()
    except (zipfile.BadZipFile, RuntimeError, ValueError) as error:
        raise DataError(
            f"{path}: zip or npz is damaged or cut off ({one_line(error)}); {FETCH}"
        ) from None
    if names and all(name.endswith(".npy") for name in names):
        return "npz"
    members = one_line(", ".join(names)) or "nothing"
    raise DataError(f"{path}: a zip archive of {members}; unpack it first")


def _other_format(head: bytes) -> str | None:
    """What a file is that users mistake for data; None for plain text."""
    text = head.removeprefix(BOM_UTF8).lstrip()
    if not head:
        return "0 bytes long"
    if (
        head.startswith((BOM_UTF16_LE, BOM_UTF16_BE))
        or head[:2].count(0) == head[2:4].count(0) == 1
    ):
        return "text in UTF-16 (save it as UTF-8)"
    if any(byte < 9 or 13 < byte < 32 for byte in head):
        return f"of unknown format (starts with bytes {head[:8].hex(' ')})"
    if text.startswith(b"<"):
        return "an HTML or XML page (perhaps the error page of a download)"
    if text.startswith(b"version https://git-lfs"):
        return "a Git LFS pointer (`git lfs pull` fetches the file)"
    if re.search(rb"^outs:", text, re.MULTILINE):
        return "a DVC pointer (`dvc pull` fetches the file)"
    return None
