"""IDX, the format of MNIST as published: http://yann.lecun.com/exdb/mnist."""

import re
from collections.abc import Sequence
from math import prod
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from digits.core.dataset import Dataset, RawData
from digits.core.errors import DataError
from digits.data.readers.files import FETCH, content_of

UNSIGNED_BYTE = 0x08
KINDS = {1: "labels", 3: "images"}
TEST_WORDS = {"t10k", "test"}


def read_idx(folder: Path, paths: Sequence[Path]) -> RawData:
    """Read one pair of IDX files to train on, and at most one pair to test on.

    The number of dimensions tells images from labels. The beginning of the name tells which
    belong together: `train-images…` and `train-labels…`; `t10k-…` or `test-…` is the test part.

    Raises:
        DataError: a file is not such an IDX file, or the files are not these pairs.
    """
    parts: dict[str, dict[str, tuple[Path, NDArray[np.uint8]]]] = {}
    for path in paths:
        array = _array(path)
        part, kind = _part(path), KINDS[array.ndim]
        if other := parts.setdefault(part, {}).get(kind):
            raise DataError(f"{folder}: both {other[0].name} and {path.name} hold {kind}; keep one")
        parts[part][kind] = path, array
    tests = [part for part in parts if TEST_WORDS & set(re.split(r"\W|_", part))]
    trainings = [part for part in parts if part not in tests]
    if len(trainings) != 1 or len(tests) > 1:
        raise DataError(
            f"{folder}: {', '.join(path.name for path in paths)} are {len(trainings)} training and"
            f" {len(tests)} test parts by name; one training part (train-…) and at most one"
            " test part (t10k-… or test-…) is allowed"
        )
    test = _paired(folder, parts[tests[0]]) if tests else None
    return RawData(_paired(folder, parts[trainings[0]]), test)


def _array(path: Path) -> NDArray[np.uint8]:
    """Read one IDX file: images (n, height, width) or labels (n,), uint8."""
    content = content_of(path)
    kind, dimensions = content[2], content[3] if len(content) > 3 else 0
    if kind != UNSIGNED_BYTE or dimensions not in KINDS:
        raise DataError(
            f"{path}: IDX of type 0x{kind:02x} with {dimensions} dimensions; type 0x08 (unsigned"
            " byte) with 3 (images) or 1 (labels) is allowed"
        )
    start = 4 + 4 * dimensions
    if len(content) < start:
        raise DataError(f"{path}: cut off within the IDX header; {FETCH}")
    shape = tuple(int(size) for size in np.frombuffer(content[4:start], ">u4"))
    if len(content) != start + prod(shape):
        raise DataError(
            f"{path}: IDX header says {'×'.join(map(str, shape))}, that is"
            f" {start + prod(shape)} bytes; the file has {len(content)}; {FETCH}"
        )
    return np.frombuffer(content, np.uint8, offset=start).reshape(shape)


def _part(path: Path) -> str:
    """The name up to `image`, `label` or the suffix."""
    return re.split(r"image|label|idx|\.", path.name.lower(), maxsplit=1)[0].strip("-_ ")


def _paired(folder: Path, pair: dict[str, tuple[Path, NDArray[np.uint8]]]) -> Dataset:
    for kind in KINDS.values():
        if kind not in pair:
            [(path, _)] = pair.values()
            raise DataError(f"{folder}: {path.name} has no {kind} file beside it; {FETCH}")
    (images_path, images), (labels_path, labels) = pair["images"], pair["labels"]
    if len(images) != len(labels):
        raise DataError(
            f"{folder}: {images_path.name} holds {len(images)} images, {labels_path.name}"
            f" {len(labels)} labels; one label per image is needed"
        )
    return Dataset(images, labels.astype(np.int64))
