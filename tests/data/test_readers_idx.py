"""IDX files as MNIST is published: which make a pair, and which are refused."""

import gzip
import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.datasets import load_digits
from support import refusal

from digits.data.readers.raw import read_raw

IMAGES = load_digits().images[:30].astype(np.uint8)
LABELS = load_digits().target[:30].astype(np.uint8)


def idx(array: NDArray[np.uint8]) -> bytes:
    return struct.pack(f">HBB{array.ndim}I", 0, 8, array.ndim, *array.shape) + array.tobytes()


def write(
    folder: Path, part: str, rows: slice, pack: Callable[[bytes], bytes] = bytes, end: str = ""
) -> None:
    (folder / f"{part}-images-idx3-ubyte{end}").write_bytes(pack(idx(IMAGES[rows])))
    (folder / f"{part}-labels-idx1-ubyte{end}").write_bytes(pack(idx(LABELS[rows])))


@pytest.mark.parametrize(
    ("pack", "end"), [(bytes, ""), (gzip.compress, ".gz"), (gzip.compress, "")]
)
@pytest.mark.parametrize(("maker", "test"), [("", "t10k"), ("emnist-digits-", "test")])
def test_the_four_files_are_a_training_and_an_official_test_part(
    tmp_path: Path, pack: Callable[[bytes], bytes], end: str, test: str, maker: str
) -> None:
    write(tmp_path, f"{maker}train", slice(0, 20), pack, end)
    write(tmp_path, f"{maker}{test}", slice(20, 30), pack, end)
    raw = read_raw(tmp_path)
    assert raw.test is not None
    assert (raw.train.images.dtype, raw.train.labels.dtype) == (np.uint8, np.int64)
    np.testing.assert_array_equal(raw.train.images, IMAGES[:20])
    np.testing.assert_array_equal(raw.train.labels, LABELS[:20])
    np.testing.assert_array_equal(raw.test.images, IMAGES[20:])
    np.testing.assert_array_equal(raw.test.labels, LABELS[20:])


def test_images_and_labels_are_told_by_content_not_by_name(tmp_path: Path) -> None:
    (tmp_path / "train.labels").write_bytes(idx(IMAGES[:, :3]))  # need not be square
    (tmp_path / "train.images").write_bytes(idx(LABELS))
    raw = read_raw(tmp_path)
    np.testing.assert_array_equal(raw.train.images, IMAGES[:, :3])
    assert raw.test is None


@pytest.mark.parametrize(
    ("change", "says", "size"),
    [
        (lambda text: text[:-1], "30×8×8, that is 1936 bytes", 1935),
        (lambda text: text + b"\0", "30×8×8, that is 1936 bytes", 1937),
        (lambda text: text[:4] + b"\xff" * 12, "4294967295×", 16),  # and no memory is taken
    ],
)
def test_a_header_that_disagrees_with_the_size_is_refused(tmp_path, change, says, size) -> None:
    write(tmp_path, "train", slice(None))
    path = tmp_path / "train-images-idx3-ubyte"
    path.write_bytes(change(path.read_bytes()))
    assert refusal(tmp_path).startswith(f"{path}: IDX header says {says}")
    assert refusal(tmp_path).endswith(f"the file has {size}; `dvc pull` fetches it anew")


@pytest.mark.parametrize("size", [4, 15])
def test_a_file_cut_off_in_its_header_is_refused(tmp_path: Path, size: int) -> None:
    (tmp_path / "train-images").write_bytes(idx(IMAGES)[:size])
    assert f"bytes; the file has {size}; `dvc pull`" in refusal(tmp_path)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (struct.pack(">HBBI", 0, 0x0D, 1, 1) + bytes(4), "type 0x0d with 1 dimensions"),
        (struct.pack(">HBB2I", 0, 8, 2, 1, 1) + bytes(1), "type 0x08 with 2 dimensions"),
        (b"\0\0\x08", "type 0x08 with 0 dimensions"),
    ],
)
def test_other_types_and_dimensions_are_refused(tmp_path: Path, content: bytes, said: str) -> None:
    (tmp_path / "train-images").write_bytes(content)
    assert f"IDX of {said}; type 0x08 (unsigned byte) with 3" in refusal(tmp_path)


def test_images_and_labels_of_different_length_are_refused(tmp_path: Path) -> None:
    (tmp_path / "train-images").write_bytes(idx(IMAGES))
    (tmp_path / "train-labels").write_bytes(idx(LABELS[:29]))
    found = "part train has 30 images, 29 labels; one label for each image is needed"
    assert refusal(tmp_path) == f"{tmp_path}: {found}"


def test_half_a_pair_is_refused(tmp_path: Path) -> None:
    (tmp_path / "train-labels").write_bytes(idx(LABELS))
    assert "part train has 30 labels; one label for each" in refusal(tmp_path)


def test_files_of_two_pairs_do_not_make_a_pair(tmp_path: Path) -> None:
    (tmp_path / "train-images").write_bytes(idx(IMAGES))
    (tmp_path / "valid-labels").write_bytes(idx(LABELS))
    assert "are 2 training and 0 test parts by name" in refusal(tmp_path)


def test_a_test_pair_alone_is_never_trained_on(tmp_path: Path) -> None:
    write(tmp_path, "t10k", slice(None))
    assert "are 0 training and 1 test parts by name" in refusal(tmp_path)


def test_the_same_file_packed_and_unpacked_is_refused(tmp_path: Path) -> None:
    write(tmp_path, "train", slice(None))
    write(tmp_path, "train", slice(None), gzip.compress, ".gz")
    assert "images-idx3-ubyte.gz: a second file of images of this part; keep one" in refusal(
        tmp_path
    )


@pytest.mark.parametrize("part", ["training", "test"])
def test_a_part_without_images_is_refused(tmp_path: Path, part: str) -> None:
    write(tmp_path, "train", slice(0, 0 if part == "training" else 20))
    write(tmp_path, "t10k", slice(20, 30 if part == "training" else 20))
    assert refusal(tmp_path).endswith("; no part may be empty")


def test_training_and_test_images_of_different_size_are_refused(tmp_path: Path) -> None:
    write(tmp_path, "train", slice(0, 20))
    (tmp_path / "t10k-images").write_bytes(idx(IMAGES[20:, :4]))
    (tmp_path / "t10k-labels").write_bytes(idx(LABELS[20:]))
    assert (
        refusal(tmp_path) == f"{tmp_path}: images 20×8×8 and 10×4×8; both parts must have one size"
    )
