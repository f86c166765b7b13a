"""IDX: two zero bytes, type, number of dimensions, then these and the values, big-endian."""

import re
from collections.abc import Mapping
from math import prod
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from imageproof.base._dataset import Dataset
from imageproof.base.errors import DataError
from imageproof.data.readers._contents import Content, Part

LABELS = 1  # dimensions
IMAGES = 3

Arrays = dict[Path, NDArray[np.uint8]]


def read_idx(folder: Path, contents: Mapping[Path, Content]) -> list[Part]:
    """Read one pair of IDX files to train on, and at most one pair to test on.

    The number of dimensions tells images from labels. The beginning of the name tells which
    belong together: `train-images…` and `train-labels…`; `t10k-…` or `test-…` is the test part.
    """
    arrays: dict[str, Arrays] = {}
    for path, content in contents.items():
        name = re.split(r"image|label|idx|\.", path.name.lower(), maxsplit=1)[0].strip("-_ ")
        arrays.setdefault(name, {})[path] = _array(path, content)

    parts = {name: _paired(folder, name, files) for name, files in arrays.items()}
    tests = [name for name in parts if {"t10k", "test"} & {*re.split(r"\W|_", name)}]
    trains = [name for name in parts if name not in tests]
    if len(trains) != 1 or len(tests) > 1:
        raise DataError(
            f"{folder}: {len(trains)} training and {len(tests)} test parts by name; "
            "one train-… and at most one t10k-… or test-… is allowed"
        )
    return [parts[name] for name in [*trains, *tests]]


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
            f"{'×'.join(map(str, shape))}; type 0x08 with n×h×w images or n labels is allowed"
        )
    return np.frombuffer(content, np.uint8, offset=start).reshape(shape)


def _paired(folder: Path, name: str, arrays: Arrays) -> Part:
    images = [path for path, array in arrays.items() if array.ndim == IMAGES]
    labels = [path for path, array in arrays.items() if array.ndim == LABELS]
    lengths = {len(array) for array in arrays.values()}
    if len(images) != 1 or len(labels) != 1 or len(lengths) > 1:
        shapes = ", ".join(f"{path.name} {array.shape}" for path, array in arrays.items())
        raise DataError(f"{folder}: part {name} has {shapes}; one label for each image is needed")
    return Part(images[0], Dataset(arrays[images[0]], arrays[labels[0]].astype(np.int64)))
