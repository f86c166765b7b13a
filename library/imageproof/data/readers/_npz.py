"""npz as of Keras: x_train, y_train and, for a test part, x_test, y_test."""

import zipfile
from pathlib import Path
from shutil import copyfileobj
from tempfile import NamedTemporaryFile
from typing import Any

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from imageproof.base._dataset import Dataset, check_unpacked
from imageproof.base.errors import DataError
from imageproof.base.files import parsing
from imageproof.base.text import one_line
from imageproof.data.readers._contents import Part

TRAIN = {"x_train", "y_train"}
TEST = {"x_test", "y_test"}

Arrays = dict[str, NDArray[Any]]


def read_npz(path: Path, scratch: Path | None) -> list[Part]:
    """The training part and, if there is one, the test part of an npz; see `map_arrays`."""
    arrays = map_arrays(path, scratch)
    if arrays.keys() not in (TRAIN, TRAIN | TEST):
        raise DataError(
            f"{path}: holds {one_line(', '.join(arrays))}; "
            "x_train, y_train and, for a test part, x_test, y_test are allowed"
        )
    parts = ("train", "test")
    return [
        Part(path, as_dataset(path, part, arrays[f"x_{part}"], arrays[f"y_{part}"]))
        for part in parts
        if f"x_{part}" in arrays
    ]


def map_arrays(path: Path, scratch: Path | None = None) -> Arrays:
    """All arrays of an npz, never unpickled; unpacked into the folder `scratch`, and mapped.

    NumPy and zipfile raise a dozen types for damaged files; all are a DataError.
    """
    with parsing("npz of numbers", path), zipfile.ZipFile(path) as archive:
        members = archive.infolist()
        unpacked = sum(member.file_size for member in members)
        check_unpacked(unpacked, packed=path.stat().st_size)
        return {
            member.filename.removesuffix(".npy"): _unpacked(archive, member, scratch)
            for member in members
        }


def _unpacked(
    archive: zipfile.ZipFile, member: zipfile.ZipInfo, scratch: Path | None
) -> NDArray[Any]:
    """An array mapped into memory; its file is deleted, and stays until nothing uses it."""
    with NamedTemporaryFile(dir=scratch) as file:
        with archive.open(member) as packed:
            copyfileobj(packed, file)
        file.flush()
        return npy.open_memmap(file.name, mode="r")


def as_dataset(path: Path, part: str, images: NDArray[Any], labels: NDArray[Any]) -> Dataset:
    """A part of raw data, `train` or `test`; a DataError if its arrays have another form."""
    if images.shape[3:] == (1,):
        images = images[..., 0]
    is_images = images.dtype == np.uint8 and (images.ndim == 3 or images.shape[3:] == (3,))
    is_numbers = labels.dtype.kind in "iu" and labels.dtype != np.uint64
    if not is_images or not is_numbers or labels.shape != (len(images),):
        raise DataError(
            f"{path}: x_{part} {images.dtype} {images.shape}, "
            f"y_{part} {labels.dtype} {labels.shape}; "
            "uint8 (n, height, width) or (n, height, width, 3), and int64 (n,) are allowed"
        )
    return Dataset(images, labels.astype(np.int64))
