"""`mnist.npz` as Keras publishes it: x_train, y_train, x_test, y_test."""

import io
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from digits.core.dataset import Dataset, RawData, load_arrays
from digits.core.errors import DataError, one_line
from digits.core.files import reading_as

TRAIN = {"x_train", "y_train"}
TEST = {"x_test", "y_test"}


def read_npz(path: Path, content: bytes) -> RawData:
    """Read images uint8 (n, height, width) or (n, height, width, 1) with integer labels (n,).

    The test part is optional. Nothing is ever unpickled.
    """
    with reading_as("npz of numbers", path):
        arrays = load_arrays(io.BytesIO(content))
    if arrays.keys() not in (TRAIN, TRAIN | TEST):
        allowed = "x_train, y_train and, for a test part, x_test, y_test are allowed"
        raise DataError(f"{path}: holds {one_line(', '.join(arrays))}; {allowed}")
    test = _dataset(path, arrays, "test") if "x_test" in arrays else None
    return RawData(_dataset(path, arrays, "train"), test)


def _dataset(path: Path, arrays: dict[str, NDArray[Any]], part: str) -> Dataset:
    images, labels = arrays[f"x_{part}"], arrays[f"y_{part}"]
    if images.ndim == 4 and images.shape[3] == 1:
        images = images[..., 0]
    grey = images.dtype == np.uint8 and images.ndim == 3
    numbers = labels.dtype.kind in "iu" and labels.dtype != np.uint64
    if not grey or not numbers or labels.shape != (len(images),):
        found = f"x_{part} {images.dtype} {images.shape}, y_{part} {labels.dtype} {labels.shape}"
        raise DataError(f"{path}: {found}; uint8 (n, height, width) and int64 (n,) are allowed")
    return Dataset(images, labels.astype(np.int64))
