"""Images to score from a folder of pictures, a CSV, an npz or a Parquet file, read in batches."""

import hashlib
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from math import prod
from pathlib import Path

import numpy as np

from digits.core.dataset import Picture
from digits.core.errors import DataError, printable
from digits.core.files import md5, require_file
from digits.data.readers.csv import check_header, header_of, read_blocks, unlabelled
from digits.data.readers.files import format_of
from digits.scoring.parquet import BATCH
from digits.scoring.pictures import SUFFIXES, is_picture, read_pictures
from digits.scoring.storage import absolute, is_remote, local_copies, stored_files
from digits.scoring.tables import Batch, Input, Shape, open_table

ALLOWED = "a folder of pictures, a CSV, an npz or a Parquet file is allowed"


def open_input(path: Path, *, shape: Shape, picture: Picture = "digit") -> Input:
    """Open the input at a path for a model that takes images of this shape (height, width).

    `picture` says how pictures of another form are converted; see `pictures.convert_picture`.

    Raises:
        DataError: the input cannot be scored, or its images have another size.
    """
    if path.is_dir():
        files = sorted(file for file in path.iterdir() if is_picture(file.name))
        return open_pictures(path, files, shape=shape, picture=picture)
    if not path.exists():
        raise DataError(f"{path}: not found; {ALLOWED}")
    require_file(path)
    if table := open_table(path, lambda: path.open("rb"), shape=shape):
        return table
    form = format_of(path, allowed=ALLOWED)
    if form == "CSV":
        return _Csv(path, shape)
    raise DataError(f"{path}: {'gzipped npz' if form == 'npz' else form}; {ALLOWED}")


def open_pictures(folder: Path, files: Sequence[Path], *, shape: Shape, picture: Picture) -> Input:
    """Open picture files of a folder; see `open_input`.

    Raises:
        DataError: there are none.
    """
    if not files:
        raise _no_pictures(str(folder))
    return _PictureFolder(folder, files, shape, picture)


def _no_pictures(folder: str) -> DataError:
    return DataError(
        f"{folder}: no pictures in it; {', '.join(SUFFIXES)} are read; tables are scored file by"
        " file, or all with --out FOLDER/"
    )


@contextmanager
def local_input(source: str) -> Iterator[Path]:
    """The file or folder on this machine; a copy of it, if it is in an object store.

    Of a folder only the pictures directly in it, which are all that is read of one here.
    """
    if not is_remote(source):
        yield Path(source)
        return
    source, files = absolute(source), stored_files(source)
    is_file = files[0].address == source
    if not is_file:
        files = [file for file in files if file.folder == source and is_picture(file.name)]
        if not files:
            raise _no_pictures(source)
    with local_copies(files) as paths:
        yield paths[0] if is_file else paths[0].parent


class _PictureFolder(Input):
    """PNG and JPEG files."""

    def __init__(self, path: Path, files: Sequence[Path], shape: Shape, picture: Picture) -> None:
        super().__init__(path, shape)
        self._files, self._picture = files, picture

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
        for values in read_blocks(Path(self.path), self._names):
            pixels = values[:, self._labelled :].reshape(-1, *self.shape)
            for start in range(0, len(pixels), BATCH):
                images = np.ascontiguousarray(pixels[start : start + BATCH])
                yield Batch(list(range(row, row + len(images))), images)
                row += len(images)
        if not row:
            raise DataError(f"{self.path}: a header and no rows; at least one image is needed")
