"""Images to score from a folder of pictures, a CSV, an npz or a Parquet file, in batches."""

import sys
from collections.abc import Iterator, Sequence
from itertools import chain
from math import inf, prod
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq

from imageproof.base.dataset import Fit, Images, Shape, check_unpacked, load_arrays
from imageproof.base.errors import DataError
from imageproof.base.files import parsing
from imageproof.base.text import first_names, printable
from imageproof.pictures.reading import SUFFIXES, is_picture, read_pictures

BATCH, BATCH_BYTES = 1000, 50_000_000  # of images; whichever is less
MAX_FOOTER = 10_000_000  # bytes of each text or list in a Parquet file's description of itself


class Batch(NamedTuple):
    """Some images, their row numbers or file names, and `treatments` of pictures."""

    names: Sequence[int] | Sequence[str]
    images: Images
    treatments: Sequence[str] = ()


def open_input(path: Path, *, shape: Shape, fit: Fit) -> Iterator[Batch]:
    """The images at a path, as a model takes them that sees images of this shape."""
    batches = _pictures(path, shape, fit) if path.is_dir() else _rows(path, shape)
    first = next(batches, None)  # here, so that a wrong file is told at once
    if first is None:
        below = " (folders in it are left out)" if path.is_dir() else ""
        needed = f"{', '.join(SUFFIXES)}, or rows are needed"
        raise DataError(f"{path}: no images in it{below}; {needed}")
    return chain([first], batches)


def open_parquet(path: Path, *, most_rows: float = inf, once: Sequence[str] = ()) -> pq.ParquetFile:
    """Open a Parquet file; of the columns `once`, equal values are read once.

    ValueError if it has more rows, or unpacks to far more bytes than it has.
    """
    file = pq.ParquetFile(
        path,
        read_dictionary=list(once),
        thrift_string_size_limit=MAX_FOOTER,
        thrift_container_size_limit=MAX_FOOTER,
        page_checksum_verification=True,  # where a file has them
    )
    if file.metadata.num_rows > most_rows:
        raise ValueError(f"over {most_rows:,} rows")
    groups = map(file.metadata.row_group, range(file.num_row_groups))
    check_unpacked(sum(each.total_byte_size for each in groups), packed=path.stat().st_size)
    return file


def _pictures(folder: Path, shape: Shape, fit: Fit) -> Iterator[Batch]:
    shown = sorted(file for file in folder.iterdir() if not file.name.startswith("."))
    files = [file for file in shown if is_picture(file.name)]
    if files and (others := [file.name for file in shown if not is_picture(file.name)]):
        said = f"left out, as no PNG, JPEG, WebP or BMP: {len(others)} ({first_names(others)})"
        print(f"warning: {printable(f'{folder}: {said}')}", file=sys.stderr)
    size = _at_once(shape)
    for start in range(0, len(files), size):
        chunk = files[start : start + size]
        images, treatments = zip(*read_pictures(chunk, shape=shape, fit=fit), strict=True)
        yield Batch([printable(file.name) for file in chunk], np.stack(images), treatments)


def _rows(path: Path, shape: Shape) -> Iterator[Batch]:
    if not path.exists():
        raise DataError(f"{path}: not found")
    with parsing("images", path), path.open("rb") as file:
        head = file.read(4)
    form, read = _FORMATS.get(head, ("CSV", _csv))
    row = 0
    with parsing(form, path):
        for images in read(path, shape):
            yield Batch(range(row, row + len(images)), images)
            row += len(images)


def _npz(path: Path, shape: Shape) -> Iterator[Images]:
    with path.open("rb") as file:
        arrays = load_arrays(file)
    known = [name for name in ("images", "x_test", "x_train", *arrays) if name in arrays]
    if known == [*arrays] and len(known) > 1:
        raise DataError(f"{path}: holds {len(arrays)} arrays; one, or one named images is allowed")
    images = arrays[known[0]]
    if images.dtype != np.uint8 or images.shape[1:] != shape:
        wanted = f"the model takes uint8 (n, {', '.join(map(str, shape))})"
        raise DataError(f"{path}: {images.dtype} {images.shape}; {wanted}")
    size = _at_once(shape)
    for row in range(0, len(images), size):
        yield images[row : row + size]


def _csv(path: Path, shape: Shape) -> Iterator[Images]:
    options = pa.csv.ReadOptions(use_threads=False, block_size=4 << 20)  # so errors name their row
    reader = pa.csv.open_csv(path, options)
    columns, size = _pixels(path, reader.schema.names, shape), _at_once(shape)
    for block in reader:
        for start in range(0, len(block), size):
            yield _images(path, block.slice(start, size).select(columns), shape)


def _parquet(path: Path, shape: Shape) -> Iterator[Images]:
    with open_parquet(path) as file:
        columns = _pixels(path, file.schema_arrow.names, shape)
        for batch in file.iter_batches(_at_once(shape), columns=columns):
            yield _images(path, batch, shape)


def _at_once(shape: Shape) -> int:
    return max(1, min(BATCH, BATCH_BYTES // prod(shape)))


def _pixels(path: Path, columns: Sequence[str], shape: Shape) -> list[str]:
    wanted = [f"pixel{number}" for number in range(prod(shape))]
    found = [name for name in columns if name.startswith("pixel")]
    if sorted(found) != sorted(wanted):
        raise DataError(f"{path}: {len(found)} pixel columns; the model takes pixel0…{wanted[-1]}")
    return wanted


def _images(path: Path, batch: pa.RecordBatch, shape: Shape) -> Images:
    values = batch.to_tensor().to_numpy()
    if values.dtype.kind not in "iu" or values.min() < 0 or values.max() > 255:
        raise DataError(f"{path}: a pixel is no whole number 0…255")
    return np.ascontiguousarray(values, np.uint8).reshape(-1, *shape)


_FORMATS = {b"PK\x03\x04": ("npz", _npz), b"PAR1": ("Parquet", _parquet)}
