"""IDX files as they are published: which make a pair, and which are refused."""

import gzip
import struct

import numpy as np
import pytest
from helpers import read_raw, refusal
from sklearn.datasets import load_digits

from imageproof.data.readers.raw import read_parts

IMAGES = load_digits().images[:30].astype(np.uint8)
LABELS = load_digits().target[:30].astype(np.uint8)
PAIR = {"train-images": IMAGES, "train-labels": LABELS}


def idx(array):
    return struct.pack(f">HBB{array.ndim}I", 0, 8, array.ndim, *array.shape) + array.tobytes()


def write(folder, arrays, pack=bytes):
    for name, array in arrays.items():
        (folder / name).write_bytes(pack(idx(array)))


@pytest.mark.parametrize(
    ("pack", "train", "test"),
    [(bytes, "train", "t10k"), (gzip.compress, "letters-train", "letters-test")],
)
def test_four_files_are_two_parts(tmp_path, pack, train, test):
    write(tmp_path, {f"{train}-images-idx3": IMAGES, f"{train}-labels-idx1": LABELS}, pack)
    write(tmp_path, {f"{test}-images-idx3": IMAGES[:9], f"{test}-labels-idx1": LABELS[:9]}, pack)
    for (file, data), name, count in zip(read_parts(tmp_path), (train, test), (30, 9), strict=True):
        assert file.name == f"{name}-images-idx3"
        assert (data.images.dtype, data.labels.dtype) == (np.uint8, np.int64)
        np.testing.assert_array_equal(data.images, IMAGES[:count])
        np.testing.assert_array_equal(data.labels, LABELS[:count])


def test_images_and_labels_are_told_by_content_not_by_name(tmp_path):
    images = IMAGES[:, :3]  # need not be square
    write(tmp_path, {"train.labels": images, "train.images": LABELS})
    train, test = read_raw(tmp_path)
    np.testing.assert_array_equal(train.images, images)
    assert test is None


@pytest.mark.parametrize(
    ("content", "form"),
    [
        (idx(IMAGES)[:-1], "0x08 and 30×8×8"),
        (idx(IMAGES) + b"\0", "0x08 and 30×8×8"),
        (idx(IMAGES)[:4] + b"\xff" * 12, "0x08 and "),  # and no memory is taken
        (idx(IMAGES)[:15], "0x08 and "),
        (struct.pack(">HBBI", 0, 0x0D, 1, 1) + bytes(4), "0x0d and 1"),
        (struct.pack(">HBB2I", 0, 8, 2, 1, 1) + bytes(1), "0x08 and 1×1"),
        (b"\0\0\x08", "0x08 and ;"),
    ],
)
def test_another_size_type_or_dimension_is_refused(tmp_path, content, form):
    path = tmp_path / "train-images"
    path.write_bytes(content)
    assert refusal(tmp_path).startswith(f"{path}: {len(content)} bytes, IDX of type {form}")


@pytest.mark.parametrize(
    ("files", "message"),
    [
        (PAIR | {"train-labels": LABELS[:29]}, "part train has 30 images, 29 labels; one label"),
        ({"train-labels": LABELS}, "part train has 30 labels; one"),
        ({"train-images": IMAGES, "valid-labels": LABELS}, "part train has 30 images; one"),
        ({"t10k-images": IMAGES, "t10k-labels": LABELS}, "0 training and 1 test parts"),
        (PAIR | {"train-images.2": IMAGES}, "part train has 30 images, 30 images, 30 labels; one"),
        ({"train-images": IMAGES[:0], "train-labels": LABELS[:0]}, "images 0×8×8; no part may be"),
        (
            PAIR | {"test-images": IMAGES[:, :4], "test-labels": LABELS},
            "images 30×8×8 and 30×4×8; no part may be empty, and all have one size",
        ),
    ],
)
def test_files_that_are_no_pairs_are_refused(tmp_path, files, message):
    write(tmp_path, files)
    assert refusal(tmp_path).startswith(f"{tmp_path}: {message}")
