"""Images to score from a folder of pictures, a CSV, an npz or a Parquet file, in batches."""

import sys
from collections.abc import Iterator, Sequence
from itertools import chain
from math import inf, prod
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from imageproof.base._dataset import Fit, Images, Shape, check_unpacked
from imageproof.base.errors import DataError
from imageproof.base.files import parsing
from imageproof.base.text import printable
from imageproof.data.readers._cells import pixel_names, read_cells, read_header
from imageproof.data.readers._contents import Content, format_of, read_content
from imageproof.data.readers._folders import left_out
from imageproof.data.readers._npz import map_arrays
from imageproof.data.readers._versioned import is_hidden
from imageproof.pictures._reading import SUFFIXES, is_picture, read_pictures

BATCH = 1000  # images, or fewer, if these have
BATCH_BYTES = 50_000_000
MAX_FOOTER = 10_000_000  # bytes of each text or list in a Parquet file's description of itself


class Batch(NamedTuple):
    """Some images, their row numbers or file names, and `treatments` of pictures."""

    names: Sequence[int] | Sequence[str]
    images: Images
    treatments: Sequence[str] = ()


def open_input(path: Path, *, shape: Shape, fit: Fit) -> Iterator[Batch]:
    """The images at a path in batches, for a model whose input has this shape.

    A DataError if there are none, or they do not fit.
    """
    batches = _pictures(path, shape, fit) if path.is_dir() else _rows(path, shape)
    first = next(batches, None)  # here, so that a wrong file is told at once
    if first is None:
        below = " (folders in it are left out)" if path.is_dir() else ""
        endings = ", ".join(SUFFIXES)
        raise DataError(f"{path}: no images in it{below}; {endings}, or rows are needed")
    return chain([first], batches)


def open_parquet(
    path: Path,
    *,
    most_rows: float = inf,
    once: Sequence[str] = (),
) -> pq.ParquetFile:
    """Open a Parquet file; equal values of the columns `once` are kept in memory only once.

    ValueError if it has over `most_rows` rows, or unpacks to far more bytes than it has.
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
    check_unpacked(sum(group.total_byte_size for group in groups), packed=path.stat().st_size)
    return file


def _pictures(folder: Path, shape: Shape, fit: Fit) -> Iterator[Batch]:
    names = sorted(path.name for path in folder.iterdir() if not is_hidden(path.name))
    pictures = [name for name in names if is_picture(name)]
    if pictures:
        unread = [name for name in names if not is_picture(name)]
        for line in left_out(folder, unread, "no PNG, JPEG, WebP or BMP"):
            print(f"warning: {printable(line)}", file=sys.stderr)
    size = _batch_size(shape)
    for start in range(0, len(pictures), size):
        batch = pictures[start : start + size]
        converted = read_pictures([folder / name for name in batch], shape=shape, fit=fit)
        images, treatments = zip(*converted, strict=True)
        yield Batch([*map(printable, batch)], np.stack(images), treatments)


def _rows(path: Path, shape: Shape) -> Iterator[Batch]:
    content = read_content(path)
    form = format_of(content)
    read = {"npz": _npz, "Parquet": _parquet}.get(form, _csv)
    size = _batch_size(shape)
    row = 0
    with parsing(form, path):
        for images in read(path, content, shape):
            for start in range(0, len(images), size):
                batch = images[start : start + size]
                yield Batch(range(row, row + len(batch)), batch)
                row += len(batch)


def _npz(path: Path, content: Content, shape: Shape) -> Iterator[Images]:
    arrays = map_arrays(path)
    preferred = [name for name in ("images", "x_test", "x_train") if name in arrays]
    if len(arrays) > 1 and not preferred:
        raise DataError(f"{path}: holds {len(arrays)} arrays; one, or one named images is allowed")
    name = [*preferred, *arrays][0]
    images = arrays[name]
    if images.dtype != np.uint8 or images.shape[1:] != shape:
        sides = ", ".join(map(str, shape))
        raise DataError(
            f"{path}: {images.dtype} {images.shape}; the model takes uint8 (n, {sides})"
        )
    yield images


def _csv(path: Path, content: Content, shape: Shape) -> Iterator[Images]:
    columns = _pixel_columns(path, read_header(content), shape)
    for cells in read_cells(path, content, columns):
        yield cells.reshape(-1, *shape)


def _parquet(path: Path, content: Content, shape: Shape) -> Iterator[Images]:
    with open_parquet(path) as file:
        columns = _pixel_columns(path, file.schema_arrow.names, shape)
        pixels = pa.schema(dict.fromkeys(columns, pa.uint8()))
        types = [file.schema_arrow.field(name).type for name in columns]
        if not all(map(pa.types.is_primitive, types)):  # of texts pyarrow would take 0x10 for 16
            raise DataError(f"{path}: its pixels are no numbers; 0..255 are allowed")
        for batch in file.iter_batches(_batch_size(shape), columns=columns):
            if any(column.null_count for column in batch):
                raise DataError(f"{path}: a pixel is empty; 0..255 are allowed")
            yield batch.cast(pixels).to_tensor().to_numpy().reshape(-1, *shape)


def _batch_size(shape: Shape) -> int:
    return max(1, min(BATCH, BATCH_BYTES // prod(shape)))


def _pixel_columns(path: Path, columns: Sequence[str], shape: Shape) -> list[str]:
    names = pixel_names(prod(shape))
    pixels = [name for name in columns if name.startswith("pixel")]
    if sorted(pixels) != sorted(names):
        raise DataError(f"{path}: {len(pixels)} pixel columns; the model takes pixel0…{names[-1]}")
    return names
