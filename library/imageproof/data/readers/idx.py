"""IDX: two zero bytes, type, number of dimensions, then these and the values, big-endian."""

import re
from collections.abc import Mapping
from math import prod
from mmap import mmap
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from imageproof.base.dataset import Dataset, RawData
from imageproof.base.errors import DataError

KINDS = {1: "labels", 3: "images"}  # by number of dimensions

Array = NDArray[np.uint8]


def read_idx(folder: Path, contents: Mapping[Path, mmap | bytes]) -> RawData:
    """Read one pair of IDX files to train on, and at most one pair to test on.

    The number of dimensions tells images from labels. The beginning of the name tells which
    belong together: `train-images…` and `train-labels…`; `t10k-…` or `test-…` is the test part.
    """
    parts: dict[str, list[Array]] = {}
    for path, content in contents.items():
        parts.setdefault(_part_of(path), []).append(_array(path, content))
    pairs = {part: _paired(folder, part, arrays) for part, arrays in parts.items()}
    tests = [pairs.pop(part) for part in parts if _is_test(part)]
    if len(pairs) != 1 or len(tests) > 1:
        found = f"{folder}: {len(pairs)} training and {len(tests)} test parts by name"
        raise DataError(f"{found}; one train-… and at most one t10k-… or test-… is allowed")
    [train] = pairs.values()
    return RawData(train, tests[0] if tests else None)


def image_files(heads: Mapping[Path, bytes]) -> list[Path]:
    """The files that hold images, by their first four bytes: the training part's, then the test's.

    For a folder that `read_idx` has read.
    """
    images = [path for path, head in heads.items() if KINDS[head[3]] == "images"]
    return sorted(images, key=lambda path: _is_test(_part_of(path)))


def _part_of(path: Path) -> str:
    return re.split(r"image|label|idx|\.", path.name.lower(), maxsplit=1)[0].strip("-_ ")


def _is_test(part: str) -> bool:
    return bool({"t10k", "test"} & set(re.split(r"\W|_", part)))


def _array(path: Path, content: mmap | bytes) -> Array:
    kind, dimensions = content[2], content[3] if len(content) > 3 else 0
    start = 4 + 4 * dimensions
    header = content[4:start].ljust(start - 4, b"\xff")  # of a file that is cut off: too large
    shape = tuple(int(size) for size in np.frombuffer(header, ">u4"))
    if kind != 0x08 or dimensions not in KINDS or len(content) != start + prod(shape):
        found = f"{len(content)} bytes, IDX of type 0x{kind:02x} and {'×'.join(map(str, shape))}"
        raise DataError(f"{path}: {found}; type 0x08 with n×h×w images or n labels is allowed")
    return np.frombuffer(content, np.uint8, offset=start).reshape(shape)


def _paired(folder: Path, part: str, arrays: list[Array]) -> Dataset:
    found = sorted((KINDS[array.ndim], len(array)) for array in arrays)
    if [kind for kind, _ in found] != ["images", "labels"] or found[0][1] != found[1][1]:
        counts = ", ".join(f"{count} {kind}" for kind, count in found)
        raise DataError(f"{folder}: part {part} has {counts}; one label for each image is needed")
    labels, images = sorted(arrays, key=lambda array: array.ndim)
    return Dataset(images, labels.astype(np.int64))
