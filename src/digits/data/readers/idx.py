"""IDX, the format of MNIST as published: http://yann.lecun.com/exdb/mnist."""

import re
from collections.abc import Mapping
from math import prod
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from digits.core.dataset import Dataset, RawData
from digits.core.errors import DataError
from digits.data.readers.files import FETCH

UNSIGNED_BYTE = 0x08
KINDS = {1: "labels", 3: "images"}
TEST_WORDS = {"t10k", "test"}


def read_idx(folder: Path, contents: Mapping[Path, bytes]) -> RawData:
    """Read one pair of IDX files to train on, and at most one pair to test on.

    The number of dimensions tells images from labels. The beginning of the name tells which
    belong together: `train-images…` and `train-labels…`; `t10k-…` or `test-…` is the test part.

    Raises:
        DataError: a file is not such an IDX file, or the files are not these pairs.
    """
    parts: dict[str, dict[str, NDArray[np.uint8]]] = {}
    for path, content in contents.items():
        array = _array(path, content)
        if KINDS[array.ndim] in parts.setdefault(_part(path), {}):
            raise DataError(f"{path}: a second file of {KINDS[array.ndim]} of this part; keep one")
        parts[_part(path)][KINDS[array.ndim]] = array
    tests = [part for part in parts if TEST_WORDS & set(re.split(r"\W|_", part))]
    trainings = [part for part in parts if part not in tests]
    if len(trainings) != 1 or len(tests) > 1:
        raise DataError(
            f"{folder}: {len(trainings)} training and {len(tests)} test parts by name; one train-…"
            " and at most one t10k-… or test-… is allowed"
        )
    test = _paired(folder, tests[0], parts[tests[0]]) if tests else None
    return RawData(_paired(folder, trainings[0], parts[trainings[0]]), test)


def _array(path: Path, content: bytes) -> NDArray[np.uint8]:
    """One IDX file: images (n, height, width) or labels (n,), uint8."""
    kind, dimensions = content[2], content[3] if len(content) > 3 else 0
    if kind != UNSIGNED_BYTE or dimensions not in KINDS:
        found = f"{path}: IDX of type 0x{kind:02x} with {dimensions} dimensions"
        raise DataError(f"{found}; type 0x08 with 3 (images) or 1 (labels) is allowed")
    start = 4 + 4 * dimensions
    header = content[4:start].ljust(start - 4, b"\xff")  # of a file that is cut off: too large
    shape = tuple(int(size) for size in np.frombuffer(header, ">u4"))
    if len(content) != start + prod(shape):
        said = "×".join(map(str, shape))
        raise DataError(f"{path}: {len(content)} bytes, but its IDX header says {said}; {FETCH}")
    return np.frombuffer(content, np.uint8, offset=start).reshape(shape)


def _part(path: Path) -> str:
    """The name up to `image`, `label` or the suffix."""
    return re.split(r"image|label|idx|\.", path.name.lower(), maxsplit=1)[0].strip("-_ ")


def _paired(folder: Path, part: str, pair: Mapping[str, NDArray[np.uint8]]) -> Dataset:
    counts = {kind: len(pair[kind]) for kind in pair}
    if len(counts) < 2 or counts["images"] != counts["labels"]:
        found = ", ".join(f"{count} {kind}" for kind, count in counts.items())
        raise DataError(f"{folder}: part {part} has {found}; one label for each image is needed")
    return Dataset(pair["images"], pair["labels"].astype(np.int64))
