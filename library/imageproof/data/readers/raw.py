"""Read raw labelled images as published: IDX pairs, Keras's npz, the CSV of Kaggle's Recognizer."""

import gzip
import re
from math import isqrt, prod
from mmap import ACCESS_READ, mmap
from os import SEEK_END
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO, Any

import numpy as np
import pyarrow as pa
import pyarrow.csv

from imageproof.base.dataset import Dataset, RawData, check_unpacked
from imageproof.base.errors import DataError
from imageproof.base.files import parsing
from imageproof.base.text import one_line
from imageproof.data.readers.corrections import FILE as CORRECTIONS
from imageproof.data.readers.idx import image_files, read_idx
from imageproof.data.readers.npz import read_npz
from imageproof.data.readers.versioned import is_hidden, list_files
from imageproof.pictures.reading import is_picture

PIECE = 1 << 20  # bytes that are unpacked at once
BLOCK_BYTES = 16 << 20  # of a CSV, in which the header must fit
GZIP_MAGIC = b"\x1f\x8b"
IDX_MAGIC = rb"\0\0[\x08\x09\x0b-\x0e]"  # the third byte is the type of the numbers


class Content(mmap):
    """A file mapped into memory: it may be larger than the memory."""

    def seekable(self) -> bool:  # zipfile asks for it; Python 3.13 has it
        return True


def read_raw(folder: Path, scratch: Path | None = None) -> RawData:
    """Read the only data set in a folder: images of any size, in the order of the file.

    Images are mapped into memory, unless they are those of a CSV. Packed files are unpacked into
    the folder `scratch`, or that of temporary files, and these are deleted while they are mapped.

    These formats are recognised by content, whatever the files are called, gzipped or not:
    IDX pairs (`t10k-…` or `test-…` is the official test part), Kaggle's CSV `label,pixel0,…`,
    and an npz as of Keras. Hidden files, subfolders, corrections of labels, and what
    DVC does not version are ignored.
    """
    found = _paths(folder)
    if any(is_picture(path.name) for path in found):
        allowed = "put each into the folder of its class, or name them in labels.csv"
        raise DataError(f"{folder}: has pictures without a class; {allowed}")
    contents = {path: _content_of(path, scratch) for path in found}
    if not contents:
        raise DataError(f"{folder}: no data files found; `dvc pull` fetches the data")
    formats = {_format_of(content) for content in contents.values()}
    if formats != {"IDX"} and len(contents) > 1:
        names = ", ".join(path.name for path in contents)
        allowed = "IDX pairs, a CSV label,pixel0,pixel1,… or a Keras npz"
        raise DataError(f"{folder}: has these data sets: {names}; one is allowed: {allowed}")
    if formats == {"IDX"}:
        raw = read_idx(folder, contents)
    elif formats == {"npz"}:
        raw = read_npz(*contents.popitem(), scratch)
    else:
        raw = RawData(_read_csv(*contents.popitem()), None)
    shapes = [data.images.shape for data in raw if data is not None]
    if not all(map(prod, shapes)) or len({shape[1:] for shape in shapes}) > 1:
        sizes = " and ".join("×".join(map(str, shape)) for shape in shapes)
        raise DataError(f"{folder}: images {sizes}; no part may be empty, and all have one size")
    return raw


def sources(folder: Path, raw: RawData) -> dict[str, dict[str, Any]]:
    """The `file` and the number of `rows` of each part that was read from a folder."""
    heads = {path: _head(path) for path in _paths(folder)}
    files = [*heads] * 2 if len(heads) == 1 else image_files(heads)
    return {
        part: {"file": str(file), "rows": len(data)}
        for part, file, data in zip(("train", "official_test"), files, raw, strict=False)
        if data is not None
    }


def _paths(folder: Path) -> list[Path]:
    names = [name for name in list_files(folder).versioned if "/" not in name]
    return [folder / name for name in names if name != CORRECTIONS and not is_hidden(name)]


def _head(path: Path) -> bytes:
    """The first bytes of what is in a file, gzipped or not."""
    with path.open("rb") as file:
        head = file.read(4)
    if head[:2] != GZIP_MAGIC:
        return head
    with gzip.open(path) as packed:
        return packed.read(4)


def _content_of(path: Path, scratch: Path | None) -> Content | bytes:
    with parsing("raw data", path), path.open("rb") as file:
        if file.read(2) != GZIP_MAGIC:
            return _mapped(file)
        size = file.seek(0, SEEK_END)
        with gzip.open(path) as packed, TemporaryFile(dir=scratch) as unpacked:
            while piece := packed.read(PIECE):
                unpacked.write(piece)
                check_unpacked(unpacked.tell(), packed=size)
            return _mapped(unpacked)


def _mapped(file: IO[bytes]) -> Content | bytes:
    file.flush()
    return Content(file.fileno(), 0, access=ACCESS_READ) if file.seek(0, SEEK_END) else b""


def _format_of(content: Content | bytes) -> str:
    if content[:2] == b"PK":
        return "npz"
    return "IDX" if re.match(IDX_MAGIC, content) else "CSV"


def _read_csv(path: Path, content: Content | bytes) -> Dataset:
    header = re.split(rb"[\r\n]", content[:BLOCK_BYTES], maxsplit=1)[0]
    names = header.decode("utf-8-sig", errors="replace").replace('"', "").split(",")
    side = isqrt(len(names) - 1)
    if not side or names != ["label", *(f"pixel{i}" for i in range(side**2))]:
        found = f"{len(names)} columns {one_line(', '.join(names), width=40)!r}"
        header_allowed = "label,pixel0,pixel1,… of a square image is allowed"
        raise DataError(f"{path}:1: {found} in the header; {header_allowed}")
    allowed = "whole numbers 0..255 are allowed"
    for letter in (b"x", b"X"):  # pyarrow reads 0x10 as 16
        if (place := content.find(letter, len(header))) >= 0:
            lines = content[: place + 1].splitlines()
            cell = lines[-1].rpartition(b",")[2]
            cell += re.split(rb"[,\r\n]", content[place + 1 : place + 20])[0]
            raise DataError(f"{path}:{len(lines)}: {cell.decode(errors='replace')}; {allowed}")
    try:
        table = pa.csv.read_csv(
            pa.BufferReader(pa.py_buffer(content)),
            # a single thread counts rows, so that an error names its row
            pa.csv.ReadOptions(use_threads=False, block_size=BLOCK_BYTES),
            convert_options=pa.csv.ConvertOptions(
                column_types=dict.fromkeys(names, pa.uint8()), null_values=[]
            ),
        )
    except pa.ArrowInvalid as error:
        reason = one_line(error, width=200)
        raise DataError(f"{path}: {reason}; {allowed}") from None
    values = table.to_pandas().to_numpy()
    images = np.ascontiguousarray(values[:, 1:]).reshape(-1, side, side)
    return Dataset(images, values[:, 0].astype(np.int64))
