"""Tables of images that can be read from the middle: an npz that is not compressed, and Parquet."""

import os
import struct
import zipfile
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from itertools import accumulate, pairwise
from math import prod
from pathlib import Path
from typing import IO, Any, NamedTuple, NoReturn

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from digits.core.dataset import Images, check_unpacked
from digits.core.errors import DataError, one_line
from digits.core.files import md5, reading_as
from digits.scoring.parquet import BATCH, batches, open_parquet

Shape = tuple[int, int]
Span = tuple[int, int]  # from, to: rows of an npz, row groups of a Parquet file
PARQUET = b"PAR1"
LENGTHS = 26  # where a zip member's header has the lengths of its name and extra field
Opened = Callable[[], AbstractContextManager[IO[bytes]]]


class Batch(NamedTuple):
    """Images uint8 (n, height, width), n at most BATCH, and their row numbers or file names.

    `treatments`, of pictures only, says how each became an image; see `pictures.TREATMENTS`.
    """

    names: list[int] | list[str]
    images: Images
    treatments: Sequence[str] = ()


class Input(ABC):
    """Images to score. Each call of `batches` reads them anew."""

    def __init__(self, path: Path | str, shape: Shape) -> None:
        self.path, self.shape = path, shape

    @abstractmethod
    def batches(self) -> Iterator[Batch]:
        """All images in their order."""

    def md5(self) -> str:
        """A hash of the whole content."""
        return md5(Path(self.path))


class Table(Input):
    """Images that can be read from the middle; `opened` gives the file."""

    def __init__(self, path: Path | str, shape: Shape, opened: Opened) -> None:
        super().__init__(path, shape)
        self._open = opened

    @abstractmethod
    def spans(self, rows: int) -> list[Span | None]:
        """Spans of about so many rows, which together are all; a None is all."""

    @abstractmethod
    def batches(self, span: Span | None = None) -> Iterator[Batch]:
        """The images of a span, by default all, in their order."""


def open_table(path: Path | str, opened: Opened, *, shape: Shape) -> Table | None:
    """Open an npz or Parquet file wherever it is; None if it is neither.

    Raises:
        DataError: it cannot be scored, or its images have another size.
    """
    with opened() as file:
        if file.read(4) == PARQUET:
            return _Parquet(path, shape, opened)
        # by its end, as npz are; `format_of` would read all of it into memory
        return _Npz(path, shape, opened) if zipfile.is_zipfile(file) else None


class _Npz(Table):
    """One uint8 array (n, height, width), alone or named `images`, `x_test` or `x_train`."""

    def __init__(self, path: Path | str, shape: Shape, opened: Opened) -> None:
        super().__init__(path, shape, opened)
        with self._opened() as (_, archive):
            self._member = _member(path, archive.namelist())
            with archive.open(self._member) as stream:
                self._count = self._check_header(*_read_header(stream))
            self._is_packed = bool(archive.getinfo(self._member).compress_type)

    def spans(self, rows: int) -> list[Span | None]:
        """Of an array that is not compressed: others can be read from the beginning only."""
        if self._is_packed or self._count <= rows:
            return [None]
        return [(row, min(row + rows, self._count)) for row in range(0, self._count, rows)]

    def batches(self, span: Span | None = None) -> Iterator[Batch]:
        start, stop = span or (0, self._count)
        with self._opened() as (file, archive), archive.open(self._member) as member:
            stream = _stored(file, archive.getinfo(self._member)) if span else member
            _read_header(stream)
            if span:
                stream.seek(start * prod(self.shape), os.SEEK_CUR)
            for row in range(start, stop, BATCH):
                count = min(BATCH, stop - row)
                content = stream.read(count * prod(self.shape))
                if len(content) < count * prod(self.shape):
                    raise DataError(f"{self.path}: cut off after row {row}")
                images = np.frombuffer(content, np.uint8).reshape(count, *self.shape)
                yield Batch(list(range(row, row + count)), images)
            if not span and stream.read(1):
                raise DataError(
                    f"{self.path}: holds more than the {self._count:,} images it declares"
                )

    @contextmanager
    def _opened(self) -> Iterator[tuple[IO[bytes], zipfile.ZipFile]]:
        with reading_as("npz", self.path), self._open() as file, zipfile.ZipFile(file) as archive:
            unpacked = sum(member.file_size for member in archive.infolist())
            check_unpacked(unpacked, packed=file.seek(0, os.SEEK_END))
            yield file, archive

    def _check_header(
        self, shape: tuple[int, ...], fortran_order: bool, dtype: np.dtype[np.generic]
    ) -> int:
        """The number of images."""
        where = f"{self.path} array {self._member.removesuffix('.npy')}"
        if dtype != np.uint8:
            hint = "; nan and fractions are no pixels" if dtype.kind == "f" else ""
            raise DataError(f"{where}: {dtype} {shape}; uint8 0..255 is allowed{hint}")
        if len(shape) != 3 or shape[1:] != self.shape or fortran_order:
            order = " in Fortran order" if fortran_order else ""
            height, width = self.shape
            raise DataError(f"{where}: {shape}{order}; the model takes (n, {height}, {width})")
        if shape[0] < 1:
            raise DataError(f"{where}: no images; at least one is needed")
        return shape[0]


def _stored(file: IO[bytes], member: zipfile.ZipInfo) -> IO[bytes]:
    """The file at the content of a member that is not compressed; `zipfile` would read up to it."""
    file.seek(member.header_offset + LENGTHS)
    file.seek(sum(struct.unpack("<HH", file.read(4))), os.SEEK_CUR)
    return file


class _Parquet(Table):
    """A column `image` of height × width bytes, or whole numbers `pixel0`, `pixel1`, …"""

    def __init__(self, path: Path | str, shape: Shape, opened: Opened) -> None:
        super().__init__(path, shape, opened)
        with self._opened() as file:
            counts = [file.metadata.row_group(n).num_rows for n in range(file.num_row_groups)]
            self._starts = [0, *accumulate(counts)]
            self._columns = self._checked({each.name: each.type for each in file.schema_arrow})
        if not self._starts[-1]:
            raise DataError(f"{path}: no rows; at least one image is needed")

    def spans(self, rows: int) -> list[Span | None]:
        """Of whole row groups."""
        cuts = [0]
        for group, end in enumerate(self._starts[1:], start=1):
            if end - self._starts[cuts[-1]] >= rows or end == self._starts[-1]:
                cuts.append(group)
        return [*pairwise(cuts)] if len(cuts) > 2 else [None]

    def batches(self, span: Span | None = None) -> Iterator[Batch]:
        first, last = span or (0, len(self._starts) - 1)
        row = self._starts[first]
        with self._opened() as file:
            for batch in batches(file, self._columns, range(first, last)):
                yield Batch(list(range(row, row + len(batch))), self._images(batch, row))
                row += len(batch)
        if row != self._starts[last]:
            raise DataError(f"{self.path}: cut off after row {row}")

    @contextmanager
    def _opened(self) -> Iterator[pq.ParquetFile]:
        with reading_as("Parquet", self.path), self._open() as stream:
            packed = stream.seek(0, os.SEEK_END)
            with open_parquet(stream, packed=packed) as file:
                yield file

    def _checked(self, found: dict[str, pa.DataType]) -> list[str]:
        """The columns of the images."""
        pixels = prod(self.shape)
        if kind := found.get("image"):
            if kind != pa.binary(pixels):
                raise DataError(
                    f"{self.path} column image: {kind}; the model takes fixed_size_binary[{pixels}]"
                )
            return ["image"]
        names = [f"pixel{number}" for number in range(pixels)]
        for name in names:
            if not pa.types.is_integer(kind := found.get(name, pa.null())):
                has = "missing" if name not in found else kind
                raise DataError(
                    f"{self.path} column {name}: {has}; pixel0…pixel{pixels - 1} of whole numbers"
                    f" or image of fixed_size_binary[{pixels}] is allowed"
                )
        if f"pixel{pixels}" in found:
            raise DataError(f"{self.path} column pixel{pixels}: the model takes {pixels} pixels")
        return names

    def _images(self, batch: pa.RecordBatch, row: int) -> Images:
        for name, column in zip(batch.schema.names, batch, strict=True):
            if column.null_count:
                self._refuse(row, name, column.is_null().to_numpy(False), "an empty cell")
        if self._columns == ["image"]:
            [images] = batch
            size = prod(self.shape)
            content = np.frombuffer(images.buffers()[1], np.uint8)[images.offset * size :]
            return content[: len(images) * size].reshape(-1, *self.shape)
        pixels = np.empty((len(batch), len(self._columns)), np.uint8)
        for number, (name, column) in enumerate(zip(batch.schema.names, batch, strict=True)):
            values = column.to_numpy()
            if values.dtype != np.uint8 and (wrong := (values < 0) | (values > 255)).any():
                found = values[wrong.argmax()]
                self._refuse(row, name, wrong, f"{found} is no whole number 0..255")
            pixels[:, number] = values
        return pixels.reshape(-1, *self.shape)

    def _refuse(self, row: int, column: str, wrong: np.ndarray, what: str) -> NoReturn:
        raise DataError(f"{self.path} row {row + wrong.argmax()} column {column}: {what}")


def _member(path: Path | str, members: list[str]) -> str:
    if not all(name.endswith(".npy") for name in members):
        raise DataError(f"{path}: a zip archive of {one_line(', '.join(members))}; unpack it first")
    named = [name for name in ("images.npy", "x_test.npy", "x_train.npy") if name in members]
    if not named and len(members) != 1:
        names = one_line(", ".join(members))
        raise DataError(f"{path}: holds {names}; one array, or one named images is allowed")
    return (named or members)[0]


def _read_header(stream: Any) -> tuple[tuple[int, ...], bool, "np.dtype[np.generic]"]:
    """The shape, Fortran order and dtype of a .npy member; the stream is then at its values."""
    version = np.lib.format.read_magic(stream)
    if version == (1, 0):
        return np.lib.format.read_array_header_1_0(stream)
    return np.lib.format.read_array_header_2_0(stream)
