"""Images to score from a folder of pictures, a CSV or an npz, read in batches."""

import hashlib
import os
import zipfile
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from math import prod
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from digits.core.dataset import Images, Picture, check_unpacked
from digits.core.errors import DataError, one_line, printable
from digits.core.files import md5, require_file
from digits.data.readers.csv import check_header, header_of, read_blocks, unlabelled
from digits.data.readers.files import format_of
from digits.scoring.pictures import SUFFIXES, read_pictures

ALLOWED = "a folder of pictures, a CSV or an npz is allowed"
BATCH = 1000

Shape = tuple[int, int]


class Batch(NamedTuple):
    """Images uint8 (n, height, width), n at most BATCH, and their row numbers or file names.

    `treatments`, of pictures only, says how each became an image; see `pictures.TREATMENTS`.
    """

    names: list[int] | list[str]
    images: Images
    treatments: Sequence[str] = ()


class Input(ABC):
    """Images to score. Each call of `batches` reads them anew."""

    def __init__(self, path: Path, shape: Shape) -> None:
        self.path, self.shape = path, shape

    @abstractmethod
    def batches(self) -> Iterator[Batch]:
        """All images in their order."""

    def md5(self) -> str:
        """A hash of the whole content."""
        return md5(self.path)


def open_input(path: Path, *, shape: Shape, picture: Picture = "digit") -> Input:
    """Open the input at a path for a model that takes images of this shape (height, width).

    `picture` says how pictures of another form are converted; see `pictures.convert_picture`.

    Raises:
        DataError: the input cannot be scored, or its images have another size.
    """
    if path.is_dir():
        return _PictureFolder(path, shape, picture)
    if not path.exists():
        raise DataError(f"{path}: not found; {ALLOWED}")
    require_file(path)
    if zipfile.is_zipfile(path):  # `format_of` would read all of it into memory
        return _Npz(path, shape)
    form = format_of(path, allowed=ALLOWED)
    if form == "CSV":
        return _Csv(path, shape)
    raise DataError(f"{path}: {'gzipped npz' if form == 'npz' else form}; {ALLOWED}")


class _PictureFolder(Input):
    """PNG and JPEG files, sorted by name."""

    def __init__(self, path: Path, shape: Shape, picture: Picture) -> None:
        super().__init__(path, shape)
        self._picture = picture
        self._files = sorted(file for file in path.iterdir() if file.suffix.lower() in SUFFIXES)
        if not self._files:
            raise DataError(f"{path}: no pictures in it; {', '.join(SUFFIXES)} are read")

    def batches(self) -> Iterator[Batch]:
        for start in range(0, len(self._files), BATCH):
            files = self._files[start : start + BATCH]
            converted = read_pictures(files, shape=self.shape, picture=self._picture)
            images, treatments = zip(*converted, strict=True)
            yield Batch([printable(file.name) for file in files], np.stack(images), treatments)

    def md5(self) -> str:
        """A hash of each file's md5 and name."""
        lines = [f"{md5(file)} {file.name}\n" for file in self._files]
        return hashlib.md5(os.fsencode("".join(lines)), usedforsecurity=False).hexdigest()


class _Csv(Input):
    """`pixel0,pixel1,…`; a `label` column in front is left out."""

    def __init__(self, path: Path, shape: Shape) -> None:
        super().__init__(path, shape)
        self._names = header_of(path)
        if not unlabelled(path):
            check_header(path, self._names)
        self._labelled = self._names[0] == "label"
        pixels = len(self._names) - self._labelled
        if pixels != prod(shape):
            raise DataError(
                f"{path}:1: {pixels} pixel columns; the model takes {shape[0]}×{shape[1]} ="
                f" {prod(shape)}"
            )

    def batches(self) -> Iterator[Batch]:
        row = 0
        for values in read_blocks(self.path, self._names):
            pixels = values[:, self._labelled :].reshape(-1, *self.shape)
            for start in range(0, len(pixels), BATCH):
                images = np.ascontiguousarray(pixels[start : start + BATCH])
                yield Batch(list(range(row, row + len(images))), images)
                row += len(images)
        if not row:
            raise DataError(f"{self.path}: a header and no rows; at least one image is needed")


class _Npz(Input):
    """One uint8 array (n, height, width), alone or named `images`, `x_test` or `x_train`."""

    def __init__(self, path: Path, shape: Shape) -> None:
        super().__init__(path, shape)
        with self._opened() as archive:
            self._member = _member(path, archive.namelist())
            with archive.open(self._member) as stream:
                self._count = self._check_header(*_read_header(stream))

    def batches(self) -> Iterator[Batch]:
        with self._opened() as archive, archive.open(self._member) as stream:
            _read_header(stream)
            for row in range(0, self._count, BATCH):
                count = min(BATCH, self._count - row)
                content = stream.read(count * prod(self.shape))
                if len(content) < count * prod(self.shape):
                    raise DataError(f"{self.path}: cut off after row {row}")
                images = np.frombuffer(content, np.uint8).reshape(count, *self.shape)
                yield Batch(list(range(row, row + count)), images)
            if stream.read(1):
                raise DataError(
                    f"{self.path}: holds more than the {self._count:,} images it declares"
                )

    @contextmanager
    def _opened(self) -> Iterator[zipfile.ZipFile]:
        try:
            with zipfile.ZipFile(self.path) as archive:
                unpacked = sum(member.file_size for member in archive.infolist())
                check_unpacked(unpacked, packed=self.path.stat().st_size)
                yield archive
        except DataError:
            raise
        except Exception as error:  # NumPy and zipfile raise a dozen kinds on damaged files
            reason = one_line(error) or type(error).__name__
            raise DataError(f"{self.path}: cannot be read as npz: {reason}") from None

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


def _member(path: Path, members: list[str]) -> str:
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
