"""What can be scored: a folder of pictures, a CSV or an npz, read batch by batch."""

import hashlib
import os
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from math import prod
from pathlib import Path
from typing import NamedTuple, Protocol

import numpy as np

from digits.core.dataset import Images, Picture, check_unpacked
from digits.core.errors import DataError, one_line, printable
from digits.core.files import md5, require_file
from digits.data.readers.csv import check_header, header_of, read_blocks, unlabelled
from digits.data.readers.files import format_of
from digits.scoring.pictures import SUFFIXES
from digits.scoring.prediction import read_pictures

ALLOWED = "a folder of pictures, a CSV or an npz is allowed"
BATCH = 1000

Shape = tuple[int, int]


class Input(Protocol):
    """Images to be scored; `batches` can be called again and reads anew."""

    path: Path

    def batches(self) -> Iterator["Batch"]:
        """All images in their order, uint8 (n, height, width), n at most BATCH."""

    def md5(self) -> str:
        """A hash of the whole content."""


class Batch(NamedTuple):
    """Some images uint8 (n, height, width), and each one's name: a row number or a file name.

    `treatments`, of pictures only, says how each became an image; see `images.TREATMENTS`.
    """

    names: list[int] | list[str]
    images: Images
    treatments: Sequence[str] = ()


def open_input(path: Path, *, shape: Shape, picture: Picture = "digit") -> Input:
    """The input at a path, for a model that takes images of this shape (height, width).

    `picture` is how pictures of another form are brought to it; see `images.bring`.

    Raises:
        DataError: there is nothing that can be scored, or its images have another size.
    """
    if path.is_dir():
        return PictureFolder(path, shape, picture)
    if not path.exists():
        raise DataError(f"{path}: not found; {ALLOWED}")
    require_file(path)
    if zipfile.is_zipfile(path):  # `format_of` would hold the whole of it in memory
        return Npz(path, shape)
    form = format_of(path, allowed=ALLOWED)
    if form == "CSV":
        return Csv(path, shape)
    raise DataError(f"{path}: {'gzipped npz' if form == 'npz' else form}; {ALLOWED}")


class PictureFolder:
    """PNG and JPEG files, by name."""

    def __init__(self, path: Path, shape: Shape, picture: Picture) -> None:
        self.path, self._shape, self._picture = path, shape, picture
        self._files = sorted(file for file in path.iterdir() if file.suffix.lower() in SUFFIXES)
        if not self._files:
            raise DataError(f"{path}: no pictures in it; {', '.join(SUFFIXES)} are read")

    def batches(self) -> Iterator[Batch]:
        """See `Input`."""
        for start in range(0, len(self._files), BATCH):
            files = self._files[start : start + BATCH]
            read = read_pictures(files, shape=self._shape, picture=self._picture)
            images, treatments = zip(*read, strict=True)
            yield Batch([printable(file.name) for file in files], np.stack(images), treatments)

    def md5(self) -> str:
        """Of each file's name and md5."""
        lines = [f"{md5(file)} {file.name}\n" for file in self._files]
        return hashlib.md5(os.fsencode("".join(lines)), usedforsecurity=False).hexdigest()


class Csv:
    """`pixel0,pixel1,…`, with or without a `label` column in front, which is left out."""

    def __init__(self, path: Path, shape: Shape) -> None:
        self.path, self._shape = path, shape
        self._names = header_of(path)
        if not unlabelled(path):
            check_header(path, self._names)
        pixels = len(self._names) - (self._names[0] == "label")
        if pixels != prod(shape):
            raise DataError(
                f"{path}:1: {pixels} pixel columns; the model takes {shape[0]}×{shape[1]} ="
                f" {prod(shape)}"
            )

    def batches(self) -> Iterator[Batch]:
        """See `Input`."""
        row = 0
        for values in read_blocks(self.path, self._names):
            pixels = values[:, self._names[0] == "label" :].reshape(-1, *self._shape)
            for start in range(0, len(pixels), BATCH):
                images = np.ascontiguousarray(pixels[start : start + BATCH])
                yield Batch(list(range(row, row + len(images))), images)
                row += len(images)
        if not row:
            raise DataError(f"{self.path}: a header and no rows; at least one image is needed")

    def md5(self) -> str:
        """Of the file."""
        return md5(self.path)


class Npz:
    """One uint8 array (n, height, width), alone or named `images`, `x_test` or `x_train`."""

    def __init__(self, path: Path, shape: Shape) -> None:
        self.path = path
        with self._opened() as archive:
            self._member = _member(path, archive.namelist())
            with archive.open(self._member) as stream:
                self._count = self._checked(*_header(stream), shape)
        self._shape = shape

    def batches(self) -> Iterator[Batch]:
        """See `Input`."""
        with self._opened() as archive, archive.open(self._member) as stream:
            _header(stream)
            for row in range(0, self._count, BATCH):
                count = min(BATCH, self._count - row)
                content = stream.read(count * prod(self._shape))
                if len(content) < count * prod(self._shape):
                    raise DataError(f"{self.path}: cut off after row {row}")
                images = np.frombuffer(content, np.uint8).reshape(count, *self._shape)
                yield Batch(list(range(row, row + count)), images)
            if stream.read(1):
                raise DataError(f"{self.path}: goes on after the {self._count:,} images it names")

    def md5(self) -> str:
        """Of the file."""
        return md5(self.path)

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

    def _checked(
        self, found: tuple[int, ...], fortran: bool, dtype: np.dtype[np.generic], shape: Shape
    ) -> int:
        """The number of images."""
        where = f"{self.path} array {self._member.removesuffix('.npy')}"
        if dtype != np.uint8:
            hint = "; nan and fractions are no pixels" if dtype.kind == "f" else ""
            raise DataError(f"{where}: {dtype} {found}; uint8 0..255 is allowed{hint}")
        if len(found) != 3 or found[1:] != shape or fortran:
            order = " in Fortran order" if fortran else ""
            raise DataError(f"{where}: {found}{order}; the model takes (n, {shape[0]}, {shape[1]})")
        if found[0] < 1:
            raise DataError(f"{where}: no images; at least one is needed")
        return found[0]


def _member(path: Path, members: list[str]) -> str:
    if not all(name.endswith(".npy") for name in members):
        raise DataError(f"{path}: a zip archive of {one_line(', '.join(members))}; unpack it first")
    for name in ("images.npy", "x_test.npy", "x_train.npy"):
        if name in members:
            return name
    if len(members) == 1:
        return members[0]
    raise DataError(
        f"{path}: holds {one_line(', '.join(members))}; one array, or one named images is allowed"
    )


def _header(stream: object) -> tuple[tuple[int, ...], bool, "np.dtype[np.generic]"]:
    version = np.lib.format.read_magic(stream)  # type: ignore[arg-type]
    read = {(1, 0): np.lib.format.read_array_header_1_0}.get(
        version, np.lib.format.read_array_header_2_0
    )
    return read(stream)  # type: ignore[arg-type]
