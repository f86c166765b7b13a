"""`mnist.npz` as Keras publishes it: x_train, y_train, x_test, y_test."""

import io
import zipfile
import zlib
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from digits.data import Dataset, RawData
from digits.errors import DataError
from digits.readers.files import FETCH, content_of, one_line

TRAIN = ("x_train", "y_train")
TEST = ("x_test", "y_test")
DAMAGED = (  # what numpy and zipfile raise on objects, encryption and damaged files
    ValueError,
    OSError,
    EOFError,
    KeyError,
    RuntimeError,
    MemoryError,
    zlib.error,
    zipfile.BadZipFile,
)


def read_npz(path: Path) -> RawData:
    """Read images uint8 (n, h, w) or (n, h, w, 1) with whole-number labels (n,) of any width.

    The test part may be absent. Nothing is ever unpickled.

    Raises:
        DataError: other arrays than these, objects, other dtypes or shapes, a damaged file.
    """
    try:
        with np.load(io.BytesIO(content_of(path)), allow_pickle=False) as arrays:
            if set(arrays.files) not in ({*TRAIN}, {*TRAIN, *TEST}):
                raise DataError(
                    f"{path}: holds {one_line(', '.join(arrays.files))}; x_train, y_train and,"
                    " for a test part, x_test, y_test are allowed"
                )
            loaded = {name: np.asarray(arrays[name]) for name in arrays.files}
    except DAMAGED as error:
        reason = one_line(error) or type(error).__name__
        raise DataError(f"{path}: cannot be read as npz of numbers: {reason}; {FETCH}") from None
    test = _dataset(path, loaded, TEST) if TEST[0] in loaded else None
    return RawData(_dataset(path, loaded, TRAIN), test)


def _dataset(path: Path, arrays: dict[str, NDArray[np.generic]], names: tuple[str, str]) -> Dataset:
    images, labels = (arrays[name] for name in names)
    if images.ndim == 4 and images.shape[3] == 1:
        images = images[..., 0]
    if images.dtype != np.uint8 or images.ndim != 3:
        raise DataError(
            f"{path} array {names[0]}: {images.dtype} {arrays[names[0]].shape}; uint8"
            " (n, height, width) is allowed"
        )
    if not np.issubdtype(labels.dtype, np.integer) or labels.shape != images.shape[:1]:
        raise DataError(
            f"{path} array {names[1]}: {labels.dtype} {labels.shape}; one whole number for each"
            f" of the {len(images)} images is allowed"
        )
    return Dataset(images.astype(np.uint8, copy=False), labels.astype(np.int64))
