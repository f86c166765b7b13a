"""Raw arrays, told by content: IDX pairs and Keras's npz; nothing else is read or unpickled."""

import gzip
import struct
from pathlib import Path
from zipfile import ZipFile

import numpy as np
import pytest
from helpers import read_raw, refusal
from numpy.testing import assert_array_equal

from imageproof.base import _dataset
from imageproof.data.readers._raw import read_parts

CSV = b"label,pixel0,pixel1,pixel2,pixel3\n7,0,128,255,1\n"
IMAGES = np.random.default_rng(0).integers(256, size=(30, 8, 8), dtype=np.uint8)
LABELS = np.arange(30, dtype=np.uint8)

DATA = Path("data")
NPZ = DATA / "images.npz"


@pytest.fixture(autouse=True)
def data(workspace):
    DATA.mkdir()


class Bomb:
    """Leaves a mark when it is unpickled."""

    def __reduce__(self):
        return Path.touch, (Path("unpickled"),)


def idx(array):
    return struct.pack(f">HBB{array.ndim}I", 0, 8, array.ndim, *array.shape) + array.tobytes()


def write(arrays, pack=bytes):
    for name, array in arrays.items():
        (DATA / name).write_bytes(pack(idx(array)))


def test_four_files_are_two_parts():
    counts = {"letters-train": 30, "letters-t10k": 9}
    for name, count in counts.items():
        arrays = {f"{name}-images-idx3": IMAGES[:count], f"{name}-labels-idx1": LABELS[:count]}
        write(arrays, gzip.compress)
    for (file, data), (name, count) in zip(read_parts(DATA), counts.items(), strict=True):
        assert (file.name, data.labels.dtype) == (f"{name}-images-idx3", np.int64)
        assert_array_equal(data.images, IMAGES[:count])
        assert_array_equal(data.labels, LABELS[:count])


@pytest.mark.parametrize(
    ("content", "form"),
    [
        (b"\0\0\x09\x01\0\0\0\x01\0", "0x09 and (1,)"),
        (b"\0\0\x08\xff" + bytes(4 * 255), "0x08 and (0, 0, "),
        (idx(IMAGES)[:6], "0x08 and (65535, 4294967295, "),  # and no memory is taken
        (b"\0\0\x08", "0x08 and ();"),
    ],
)
def test_another_size_type_or_dimension_is_refused(content, form):
    path = DATA / "train-images"
    path.write_bytes(content)
    assert refusal().startswith(f"{path}: {len(content)} bytes, IDX of type {form}")


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({"train-labels": LABELS[:29]}, "part train has train-images (30, 8, 8), train-labels (29"),
        ({"test-labels": LABELS}, "part test has test-labels (30,); one label for each image is n"),
        ({"a-train-images": IMAGES}, "part train has a-train-images (30, 8, 8), train-images (30"),
        ({"train-images": IMAGES[:0], "train-labels": LABELS[:0]}, "images [(0, 8, 8)]; no part "),
        ({"test-images": IMAGES[:, :4], "test-labels": LABELS}, "images [(30, 8, 8), (30, 4, 8)]"),
    ],
)
def test_files_that_are_no_pairs_are_refused(files, message):
    write({"train-images": IMAGES, "train-labels": LABELS} | files)
    assert refusal().startswith(f"data: {message}")


def test_images_are_mapped_from_files_that_are_deleted():
    scratch = Path("scratch")
    scratch.mkdir()
    arrays = {"x_test": IMAGES[:9, ..., None], "y_test": LABELS[:9].astype(">i8")}
    np.savez_compressed(NPZ, x_train=IMAGES, y_train=LABELS, **arrays)
    train, test = read_raw(scratch)
    assert isinstance(train.images, np.memmap)
    assert not [*scratch.iterdir()]
    assert_array_equal(train.images, IMAGES)
    assert_array_equal(test.images, IMAGES[:9])  # one channel is none
    assert (test.labels.tolist(), test.labels.dtype) == ([*range(9)], np.int64)


def test_objects_are_refused_and_never_unpickled():
    np.savez(NPZ, x_train=IMAGES, y_train=np.array([Bomb()] * 30, dtype=object))
    assert refusal().startswith(
        "data/images.npz: cannot be read as npz of numbers: Array can't be mem"
    )
    assert not Path("unpickled").exists()


def test_other_arrays_are_named():
    np.savez(NPZ, y_train=LABELS, x_test=IMAGES)
    with ZipFile(NPZ, "a") as archive, archive.open("x_train.txt", "w") as file:
        np.save(file, IMAGES)
    assert refusal().startswith("data/images.npz: holds y_train, x_test, x_train.txt; x_train")


@pytest.mark.parametrize(
    ("images", "labels"),
    [
        (IMAGES / 255, LABELS),
        (IMAGES.reshape(30, 64), LABELS),
        (IMAGES, LABELS[:, None]),
        (IMAGES, LABELS.astype(np.uint64)),
    ],
)
def test_other_types_and_shapes_are_refused(images, labels):
    np.savez(NPZ, x_train=images, y_train=labels)
    forms = f"x_train {images.dtype} {images.shape}, y_train {labels.dtype} {labels.shape}"
    assert refusal().startswith(f"{NPZ}: {forms}; uint8 (n, h")


def test_content_alone_tells_the_format():
    (DATA / "older").mkdir()
    for name in ("older/train.csv", ".hidden", "images.npz"):
        (DATA / name).write_bytes(CSV)
    assert read_raw().train.images.tolist() == [[[0, 128], [255, 1]]]


@pytest.mark.parametrize(
    ("files", "line"),
    [
        ({"images": idx(IMAGES)}, "data/images: is IDX; train-…, t10k-… or test-… is allowed as"),
        ({"1.jpeg": b""}, "data: has pictures without a class; put each "),
        ({"a.csv": CSV, "b.npz": CSV}, "data: has these data sets: a.csv, b.npz; one is"),
        ({"a.csv.gz": gzip.compress(CSV)[:-10]}, "data/a.csv.gz: cannot be read as raw data: "),
    ],
)
def test_data_of_no_format_are_one_line(files, line):
    for name, content in files.items():
        (DATA / name).write_bytes(content)
    assert refusal().startswith(line)


@pytest.mark.parametrize("name", ["train.csv", "images.npz"])
def test_gigabytes_in_a_small_file_are_not_unpacked(monkeypatch, name):
    monkeypatch.setattr(_dataset, "MAX_UNPACKED", (1 << 20) - 1)
    np.savez_compressed(NPZ, x_train=np.zeros(1 << 20, np.uint8))
    if name == "train.csv":
        NPZ.unlink()
        (DATA / name).write_bytes(gzip.compress(bytes(1 << 20)))
    assert "unpacks to over 0 MB and 50 times its size" in refusal()
