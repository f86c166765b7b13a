"""npz as of Keras: x_train, y_train and, for a test part, x_test, y_test."""

import zipfile
from mmap import mmap
from pathlib import Path
from shutil import copyfileobj
from tempfile import NamedTemporaryFile
from typing import Any

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from imageproof.base.dataset import Dataset, RawData, check_unpacked
from imageproof.base.errors import DataError
from imageproof.base.files import parsing
from imageproof.base.text import one_line

TRAIN, TEST = {"x_train", "y_train"}, {"x_test", "y_test"}


def read_npz(path: Path, content: mmap | bytes, scratch: Path | None) -> RawData:
    """Read images and labels of an npz; its arrays are unpacked into `scratch`, and mapped."""
    with parsing("npz of numbers", path):
        arrays = _arrays(content, scratch)
    if arrays.keys() not in (TRAIN, TRAIN | TEST):
        allowed = "x_train, y_train and, for a test part, x_test, y_test are allowed"
        raise DataError(f"{path}: holds {one_line(', '.join(arrays))}; {allowed}")
    test = _dataset(path, arrays, "test") if "x_test" in arrays else None
    return RawData(_dataset(path, arrays, "train"), test)


def _arrays(content: mmap | bytes, scratch: Path | None) -> dict[str, NDArray[Any]]:
    """All arrays, never unpickled; NumPy and zipfile raise a dozen types for damaged files."""
    with zipfile.ZipFile(content) as archive:  # type: ignore[call-overload]
        members = archive.infolist()
        check_unpacked(sum(member.file_size for member in members), packed=len(content))
        if not all(member.filename.endswith(".npy") for member in members):
            raise ValueError("holds other files than arrays")
        return {member.filename[:-4]: _unpacked(archive, member, scratch) for member in members}


def _unpacked(
    archive: zipfile.ZipFile, member: zipfile.ZipInfo, scratch: Path | None
) -> NDArray[Any]:
    """An array mapped into memory; its file is deleted, and stays until nothing uses it."""
    with NamedTemporaryFile(dir=scratch) as file:
        with archive.open(member) as packed:
            copyfileobj(packed, file)
        file.flush()
        return npy.open_memmap(file.name, mode="r")


def _dataset(path: Path, arrays: dict[str, NDArray[Any]], part: str) -> Dataset:
    images, labels = arrays[f"x_{part}"], arrays[f"y_{part}"]
    if images.ndim == 4 and images.shape[3] == 1:
        images = images[..., 0]
    pictures = images.dtype == np.uint8 and (images.ndim == 3 or images.shape[3:] == (3,))
    numbers = labels.dtype.kind in "iu" and labels.dtype != np.uint64
    if not pictures or not numbers or labels.shape != (len(images),):
        found = f"x_{part} {images.dtype} {images.shape}, y_{part} {labels.dtype} {labels.shape}"
        allowed = "uint8 (n, height, width) or (n, height, width, 3), and int64 (n,)"
        raise DataError(f"{path}: {found}; {allowed} are allowed")
    return Dataset(images, labels.astype(np.int64))
