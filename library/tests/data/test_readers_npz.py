"""An npz as of Keras: numbers are read, everything else is refused and nothing is unpickled."""

from pathlib import Path

import numpy as np
import pytest
from helpers import read_raw, refusal
from sklearn.datasets import load_digits

IMAGES = load_digits().images[:30].astype(np.uint8)
LABELS = load_digits().target[:30].astype(np.int64)


class Bomb:
    """Leaves a mark when it is unpickled."""

    def __init__(self, mark):
        self.mark = mark

    def __reduce__(self):
        return Path.touch, (self.mark,)


@pytest.fixture
def path(tmp_path):
    (tmp_path / "data").mkdir()
    return tmp_path / "data/images.npz"


def test_images_are_mapped_from_files_that_are_deleted(path, tmp_path):
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    np.savez_compressed(path, x_train=IMAGES, y_train=LABELS)
    images = read_raw(path.parent, scratch).train.images
    assert isinstance(images, np.memmap)
    assert not [*scratch.iterdir()]
    np.testing.assert_array_equal(images, IMAGES)


@pytest.mark.parametrize("dtype", ["u1", ">i8"])
def test_labels_become_int64_and_single_channel_is_dropped(path, dtype):
    arrays = {"x_test": IMAGES[..., None], "y_test": LABELS.astype(dtype)}
    np.savez_compressed(path, x_train=IMAGES[:20], y_train=LABELS[:20], **arrays)
    train, test = read_raw(path.parent)
    assert (len(train), test.images.dtype, test.labels.dtype) == (20, np.uint8, np.int64)
    np.testing.assert_array_equal(test.images, IMAGES)
    np.testing.assert_array_equal(test.labels, LABELS)


def test_objects_are_refused_and_never_unpickled(path, tmp_path):
    mark = tmp_path / "unpickled"
    np.savez(path, x_train=IMAGES, y_train=np.array([Bomb(mark)] * 30, dtype=object))
    start = f"{path}: cannot be read as npz of numbers: Array can't be mem"
    assert refusal(path.parent).startswith(start)
    assert not mark.exists()


@pytest.mark.parametrize("names", [["x", "y"], ["x_train"], ["x_train", "y_train", "x_test"]])
def test_other_arrays_are_named(path, names):
    np.savez(path, **dict.fromkeys(names, IMAGES))
    assert refusal(path.parent).startswith(f"{path}: holds {', '.join(names)}; x_train")


@pytest.mark.parametrize(
    ("images", "labels"),
    [
        (IMAGES / 255, LABELS),
        (IMAGES.reshape(30, 64), LABELS),
        (np.stack([IMAGES] * 4, axis=3), LABELS),
        (IMAGES, LABELS.astype(float)),
        (IMAGES, LABELS.astype("u8")),
        (IMAGES, LABELS[:29]),
        (IMAGES, LABELS[:, None]),
    ],
)
def test_other_types_and_shapes_are_refused(path, images, labels):
    np.savez(path, x_train=images, y_train=labels)
    forms = f"x_train {images.dtype} {images.shape}, y_train {labels.dtype} {labels.shape}"
    assert refusal(path.parent).startswith(f"{path}: {forms}; uint8 (n, h")
