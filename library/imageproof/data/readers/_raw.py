"""Read raw labelled images as published: IDX pairs, Keras's npz, the CSV of Kaggle's Recognizer."""

import re
from collections.abc import Mapping
from math import prod
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from imageproof.base._dataset import Dataset
from imageproof.base.errors import DataError
from imageproof.base.text import first_names
from imageproof.data.readers._cells import read_labelled
from imageproof.data.readers._contents import Content, Part, format_of, read_content
from imageproof.data.readers._npz import read_npz
from imageproof.data.readers._versioned import list_files
from imageproof.data.readers.corrections import FILE as CORRECTIONS
from imageproof.pictures._reading import is_picture

LABELS = 1  # dimensions
IMAGES = 3
IDX_NAME = re.compile(r"\b(train|t10k|test)\b")  # also within a name, as `letters-train-…`

Arrays = dict[Path, NDArray[np.uint8]]


def read_parts(folder: Path, scratch: Path | None = None) -> list[Part]:
    """Read the only data set in a folder: its training part, and its test part if it has one.

    Images of any size, in the order of the file, are mapped into memory, unless they are those of
    a CSV, or gzipped. An npz is unpacked into the folder `scratch`, or that of temporary files, and
    these are deleted while they are mapped.

    These formats are recognised by content: IDX pairs (`train-…`, and `t10k-…` or `test-…` of the
    official test part) and Kaggle's CSV `label,pixel0,…`, gzipped or not, and an npz as of Keras.
    Hidden files, subfolders, corrections of labels, and what DVC does not version are ignored.
    """
    names = list_files(folder).visible
    files = [name for name in names if "/" not in name and name != CORRECTIONS]
    if any(map(is_picture, files)):
        raise DataError(
            f"{folder}: has pictures without a class; "
            "put each into the folder of its class, or name them in labels.csv"
        )
    contents = {folder / name: read_content(folder / name) for name in files}
    if names and not contents:
        allowed = "PNG, JPEG, WebP and BMP are in a folder for each class, arrays in no folder"
        raise DataError(f"{folder}: {first_names(names)}: none is read; {allowed}")
    if not contents:
        raise DataError(f"{folder}: no data files found; `dvc pull` fetches the data")
    parts = _read(folder, contents, scratch)
    shapes = [part.data.images.shape for part in parts]
    if not all(map(prod, shapes)) or len({shape[1:] for shape in shapes}) > 1:
        raise DataError(f"{folder}: images {shapes}; no part may be empty, and all have one size")
    return parts


def _read(
    folder: Path,
    contents: dict[Path, Content],
    scratch: Path | None,
) -> list[Part]:
    formats = {format_of(content) for content in contents.values()}
    if formats == {"IDX"}:
        return _read_idx(folder, contents)
    if len(contents) > 1:
        names = ", ".join(path.name for path in contents)
        raise DataError(
            f"{folder}: has these data sets: {names}; "
            "one is allowed: IDX pairs, a CSV label,pixel0,pixel1,… or a Keras npz"
        )

    [(path, content)] = contents.items()
    if formats == {"npz"}:
        return read_npz(path, scratch)
    return [Part(path, read_labelled(path, content))]


def _read_idx(folder: Path, contents: Mapping[Path, Content]) -> list[Part]:
    """Read a pair of IDX files to train on and, if there is one, a pair to test on.

    The number of dimensions tells images from labels, the name tells the part.
    """
    arrays: dict[str, Arrays] = {"train": {}}
    for path, content in contents.items():
        match = IDX_NAME.search(path.name)
        if not match:
            raise DataError(f"{path}: is IDX; train-…, t10k-… or test-… is allowed as its name")
        part = "train" if match[0] == "train" else "test"
        arrays.setdefault(part, {})[path] = _array(path, content)
    return [_paired(folder, part, files) for part, files in arrays.items()]


def _array(path: Path, content: Content) -> NDArray[np.uint8]:
    kind = content[2]
    dimensions = content[3] if len(content) > 3 else 0
    start = 4 + 4 * dimensions
    header = content[4:start].ljust(start - 4, b"\xff")  # of a file that is cut off: too large
    shape = tuple(np.frombuffer(header, ">u4").tolist())
    is_known = kind == 0x08 and dimensions in (LABELS, IMAGES)
    if not is_known or len(content) != start + prod(shape):
        raise DataError(
            f"{path}: {len(content)} bytes, IDX of type 0x{kind:02x} and "
            f"{shape}; type 0x08 with n×h×w images or n labels is allowed"
        )
    return np.frombuffer(content, np.uint8, offset=start).reshape(shape)


def _paired(folder: Path, name: str, arrays: Arrays) -> Part:
    pair = sorted(arrays.items(), key=lambda item: item[1].ndim)
    dimensions = [array.ndim for _, array in pair]
    lengths = {len(array) for _, array in pair}
    if dimensions != [LABELS, IMAGES] or len(lengths) > 1:
        shapes = ", ".join(f"{path.name} {array.shape}" for path, array in arrays.items())
        raise DataError(
            f"{folder}: part {name} has {shapes or 'no file'}; one label for each image is needed"
        )
    (_, labels), (path, images) = pair
    return Part(path, Dataset(images, labels.astype(np.int64)))
