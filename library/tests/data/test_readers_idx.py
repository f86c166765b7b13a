"""IDX files as they are published: which make a pair, and which are refused."""

import gzip
import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from helpers import read_raw, refusal
from numpy.typing import NDArray
from sklearn.datasets import load_digits

from imageproof.data.readers.raw import read_parts

IMAGES = load_digits().images[:30].astype(np.uint8)
LABELS = load_digits().target[:30].astype(np.uint8)


def idx(array: NDArray[np.uint8]) -> bytes:
    return struct.pack(f">HBB{array.ndim}I", 0, 8, array.ndim, *array.shape) + array.tobytes()


def write(
    folder: Path, part: str, rows: slice, pack: Callable[[bytes], bytes] = bytes, end: str = ""
) -> None:
    (folder / f"{part}-images-idx3-ubyte{end}").write_bytes(pack(idx(IMAGES[rows])))
    (folder / f"{part}-labels-idx1-ubyte{end}").write_bytes(pack(idx(LABELS[rows])))


@pytest.mark.parametrize(("pack", "end"), [(bytes, ""), (gzip.compress, ".gz")])
@pytest.mark.parametrize(("maker", "test"), [("", "t10k"), ("letters-", "test")])
def test_four_files_are_two_parts(
    tmp_path: Path, pack: Callable[[bytes], bytes], end: str, test: str, maker: str
) -> None:
    names = [f"{maker}train", f"{maker}{test}"]
    rows = [slice(0, 20), slice(20, 30)]
    for name, members in zip(names, rows, strict=True):
        write(tmp_path, name, members, pack, end)
    for part, name, members in zip(read_parts(tmp_path), names, rows, strict=True):
        assert part.file.name == f"{name}-images-idx3-ubyte{end}"
        assert (part.data.images.dtype, part.data.labels.dtype) == (np.uint8, np.int64)
        np.testing.assert_array_equal(part.data.images, IMAGES[members])
        np.testing.assert_array_equal(part.data.labels, LABELS[members])


def test_images_and_labels_are_told_by_content_not_by_name(tmp_path: Path) -> None:
    (tmp_path / "train.labels").write_bytes(idx(IMAGES[:, :3]))  # need not be square
    (tmp_path / "train.images").write_bytes(idx(LABELS))
    raw = read_raw(tmp_path)
    np.testing.assert_array_equal(raw.train.images, IMAGES[:, :3])
    assert raw.test is None


@pytest.mark.parametrize(
    ("change", "size"),
    [
        (lambda text: text[:-1], 1935),
        (lambda text: text + b"\0", 1937),
        (lambda text: text[:4] + b"\xff" * 12, 16),  # and no memory is taken
        (lambda text: text[:4], 4),
        (lambda text: text[:15], 15),
    ],
)
def test_a_header_that_disagrees_with_the_size_is_refused(tmp_path, change, size) -> None:
    write(tmp_path, "train", slice(None))
    path = tmp_path / "train-images-idx3-ubyte"
    path.write_bytes(change(path.read_bytes()))
    assert refusal(tmp_path).startswith(f"{path}: {size} bytes, IDX of type 0x08 and ")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (struct.pack(">HBBI", 0, 0x0D, 1, 1) + bytes(4), "type 0x0d and 1"),
        (struct.pack(">HBB2I", 0, 8, 2, 1, 1) + bytes(1), "type 0x08 and 1×1"),
        (b"\0\0\x08", "type 0x08 and ;"),
    ],
)
def test_other_types_and_dimensions_are_refused(
    tmp_path: Path, content: bytes, message: str
) -> None:
    (tmp_path / "train-images").write_bytes(content)
    assert f"IDX of {message}" in refusal(tmp_path)


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({"train-images": IMAGES, "train-labels": LABELS[:29]}, "train has 30 images, 29 labels"),
        ({"train-labels": LABELS}, "part train has 30 labels; one label for each"),
        ({"train-images": IMAGES, "valid-labels": LABELS}, "part train has 30 images; one label"),
        ({"t10k-images": IMAGES, "t10k-labels": LABELS}, "0 training and 1 test parts"),
        (
            {"train-images": IMAGES, "train-images.2": IMAGES},
            "part train has 30 images, 30 images; one",
        ),
        ({"train-images": IMAGES[:0], "train-labels": LABELS[:0]}, "no part may be empty"),
    ],
)
def test_files_that_are_no_pairs_are_refused(
    tmp_path: Path, files: dict[str, NDArray[np.uint8]], message: str
) -> None:
    for name, array in files.items():
        (tmp_path / name).write_bytes(idx(array))
    assert message in refusal(tmp_path)


@pytest.mark.parametrize("images", [IMAGES[20:, :4], IMAGES[:0]], ids=["another size", "empty"])
def test_a_test_part_that_does_not_fit_is_refused(tmp_path: Path, images) -> None:
    write(tmp_path, "train", slice(0, 20))
    (tmp_path / "t10k-images").write_bytes(idx(images))
    (tmp_path / "t10k-labels").write_bytes(idx(LABELS[: len(images)]))
    assert refusal(tmp_path).startswith(f"{tmp_path}: images 20×8×8 and {len(images)}×")
