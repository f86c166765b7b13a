"""`mnist.npz` as Keras publishes it: x_train, y_train, x_test, y_test."""

import io
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from digits.core.dataset import Dataset, RawData, load_arrays
from digits.core.errors import DataError, one_line
from digits.data.readers.files import FETCH, content_of

TRAIN = ("x_train", "y_train")
TEST = ("x_test", "y_test")
LARGEST = np.iinfo(np.int64).max


def read_npz(path: Path) -> RawData:
    """Read images uint8 (n, height, width) or (n, height, width, 1) with integer labels (n,).

    The test part is optional. Nothing is ever unpickled.

    Raises:
        DataError: the file is damaged, or has other arrays, dtypes or shapes.
    """
    try:
        arrays = load_arrays(io.BytesIO(content_of(path)))
    except ValueError as error:
        raise DataError(
            f"{path}: cannot be read as npz of numbers: {one_line(error)}; {FETCH}"
        ) from None
    if arrays.keys() not in ({*TRAIN}, {*TRAIN, *TEST}):
        raise DataError(
            f"{path}: holds {one_line(', '.join(arrays))}; x_train, y_train and, for a test part,"
            " x_test, y_test are allowed"
        )
    test = _dataset(path, arrays, TEST) if TEST[0] in arrays else None
    return RawData(_dataset(path, arrays, TRAIN), test)


def _dataset(path: Path, arrays: dict[str, NDArray[np.generic]], names: tuple[str, str]) -> Dataset:
    images, labels = (arrays[name] for name in names)
    if images.ndim == 4 and images.shape[3] == 1:
        images = images[..., 0]
    if images.dtype != np.uint8 or images.ndim != 3:
        raise DataError(
            f"{path} array {names[0]}: {images.dtype} {arrays[names[0]].shape}; uint8"
            " (n, height, width) is allowed"
        )
    # not np.issubdtype: to NumPy, a time difference is an integer
    if labels.dtype.kind not in "iu" or labels.shape != images.shape[:1]:
        raise DataError(
            f"{path} array {names[1]}: {labels.dtype} {labels.shape}; one whole number for each"
            f" of the {len(images)} images is allowed"
        )
    if len(labels) and labels.max() > LARGEST:
        raise DataError(f"{path} array {names[1]}: {labels.max()} is too large for a class number")
    return Dataset(images.astype(np.uint8, copy=False), labels.astype(np.int64))
