"""Read raw labelled images as published: IDX pairs, Kaggle CSV or Keras npz."""

import gzip
import io
import re
from math import prod
from pathlib import Path
from typing import Any

from digits.core.dataset import MAX_RATIO, MAX_UNPACKED, RawData, check_unpacked
from digits.core.errors import DataError
from digits.core.files import reading_as
from digits.data.readers.csv import read_csv
from digits.data.readers.idx import image_files, read_idx
from digits.data.readers.npz import read_npz

GZIP_MAGIC = b"\x1f\x8b"
IDX_MAGIC = rb"\0\0[\x08\x09\x0b-\x0e]"  # the third byte is the type of the numbers


def read_raw(folder: Path) -> RawData:
    """Read the only data set in a folder: images of any size, in the order of the file.

    These formats are recognised by content, whatever the files are called, gzipped or not:
    IDX pairs (`t10k-…` or `test-…` is the official test part), Kaggle's CSV `label,pixel0,…`,
    and Keras's `mnist.npz`. Hidden files and subfolders are ignored. Whether a label is a class
    is not checked here.
    """
    contents = _contents(folder)
    if not contents:
        raise DataError(f"{folder}: no data files found; `dvc pull` fetches the data")
    formats = {format_of(content) for content in contents.values()}
    if formats != {"IDX"} and len(contents) > 1:
        names = ", ".join(path.name for path in contents)
        allowed = "IDX pairs, a CSV label,pixel0,pixel1,… or a Keras npz"
        raise DataError(f"{folder}: has these data sets: {names}; one is allowed: {allowed}")
    if formats == {"IDX"}:
        raw = read_idx(folder, contents)
    elif formats == {"npz"}:
        raw = read_npz(*contents.popitem())
    else:
        raw = RawData(read_csv(*contents.popitem()), None)
    shapes = [data.images.shape for data in raw if data is not None]
    if not all(map(prod, shapes)) or len({shape[1:] for shape in shapes}) > 1:
        sizes = " and ".join("×".join(map(str, shape)) for shape in shapes)
        raise DataError(f"{folder}: images {sizes}; no part may be empty, and all have one size")
    return raw


def sources(folder: Path, raw: RawData) -> dict[str, dict[str, Any]]:
    """The `file` and the number of `rows` of each part that was read from a folder."""
    contents = _contents(folder)
    files = [*contents] * 2 if len(contents) == 1 else image_files(contents)
    return {
        part: {"file": str(file), "rows": len(data)}
        for part, file, data in zip(("train", "official_test"), files, raw, strict=False)
        if data is not None
    }


def _contents(folder: Path) -> dict[Path, bytes]:
    found = sorted(folder.iterdir()) if folder.is_dir() else []
    paths = [path for path in found if not path.is_dir() and not path.name.startswith(".")]
    return {path: content_of(path) for path in paths}


def content_of(path: Path) -> bytes:
    """The whole content of a file, unpacked if it is gzipped; a DataError if it is damaged."""
    with reading_as("raw data", path):
        content = path.read_bytes()
        if not content.startswith(GZIP_MAGIC):
            return content
        with gzip.open(io.BytesIO(content)) as file:
            unpacked = file.read(max(MAX_UNPACKED, MAX_RATIO * len(content)) + 1)
        check_unpacked(len(unpacked), packed=len(content))
        return unpacked


def format_of(content: bytes) -> str:
    """The format by the first bytes; all that is neither IDX nor a zip counts as CSV."""
    if content.startswith(b"PK"):
        return "npz"
    return "IDX" if re.match(IDX_MAGIC, content) else "CSV"
