"""An npz as of Keras: numbers are read, everything else is refused and nothing is unpickled."""

from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from helpers import read_raw, refusal
from sklearn.datasets import load_digits

from imageproof.base.errors import DataError

IMAGES = load_digits().images[:30].astype(np.uint8)
LABELS = load_digits().target[:30].astype(np.int64)


class Bomb:
    """Leaves a mark when it is unpickled."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[object, ...]:
        return Path.touch, (self.mark,)


def test_images_are_mapped_from_files_that_are_deleted(tmp_path: Path) -> None:
    scratch, data = tmp_path / "scratch", tmp_path / "data"
    for folder in (scratch, data):
        folder.mkdir()
    np.savez_compressed(data / "images.npz", x_train=IMAGES, y_train=LABELS)
    train = read_raw(data, scratch).train
    assert isinstance(train.images, np.memmap)
    assert not [*scratch.iterdir()]
    np.testing.assert_array_equal(train.images, IMAGES)


@pytest.mark.parametrize("dtype", ["u1", ">i8"])
def test_labels_become_int64_and_single_channel_is_dropped(tmp_path: Path, dtype: str) -> None:
    images = IMAGES[..., None]
    labels = LABELS.astype(dtype)
    parts = {"x_train": images[:20], "y_train": labels[:20]}
    np.savez_compressed(tmp_path / "images.npz", **parts, x_test=images[20:], y_test=labels[20:])
    for part, rows in zip(read_raw(tmp_path), (slice(20), slice(20, 30)), strict=True):
        assert (part.images.dtype, part.labels.dtype) == (np.uint8, np.int64)
        np.testing.assert_array_equal(part.images, IMAGES[rows])
        np.testing.assert_array_equal(part.labels, LABELS[rows])


def test_objects_are_refused_and_never_unpickled(tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir()
    bombs = np.array([Bomb(tmp_path / "unpickled")] * 30, dtype=object)
    np.savez(data / "images.npz", x_train=IMAGES, y_train=bombs)
    line = refusal(data)
    assert line.startswith(
        f"{data}/images.npz: cannot be read as npz of numbers: Array can't be mem"
    )
    assert not (tmp_path / "unpickled").exists()


@pytest.mark.parametrize("names", [["x", "y"], ["x_train"], ["x_train", "y_train", "x_test"]])
def test_other_arrays_are_named(tmp_path: Path, names: list[str]) -> None:
    np.savez(tmp_path / "images.npz", **dict.fromkeys(names, IMAGES))
    assert refusal(tmp_path).startswith(f"{tmp_path}/images.npz: holds {', '.join(names)}; x_train")


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
def test_other_types_and_shapes_are_refused(tmp_path: Path, images, labels) -> None:
    np.savez(tmp_path / "images.npz", x_train=images, y_train=labels)
    assert refusal(tmp_path).startswith(
        f"{tmp_path}/images.npz: x_train {images.dtype} {images.shape}, y_train {labels.dtype} "
        f"{labels.shape}; uint8 (n, h"
    )


def test_gigabytes_in_a_small_npz_are_not_unpacked(tmp_path: Path) -> None:
    path = tmp_path / "images.npz"
    np.savez_compressed(path, x_train=np.zeros((300 << 10, 32, 32), np.uint8), y_train=LABELS)
    assert "unpacks to over 256 MB and 50 times its size" in refusal(tmp_path)


@pytest.mark.parametrize("place", range(0, 1000, 197))
def test_a_flipped_byte_is_refused_or_changes_nothing(tmp_path: Path, place: int) -> None:
    path = tmp_path / "images.npz"
    np.savez_compressed(path, x_train=IMAGES, y_train=LABELS)
    content = bytearray(path.read_bytes())
    content[place % len(content)] ^= 0xFF
    path.write_bytes(content)
    with suppress(DataError):
        train = read_raw(tmp_path).train
        np.testing.assert_array_equal(train.images, IMAGES)
        np.testing.assert_array_equal(train.labels, LABELS)
