"""Batches of a training: each image once per epoch, moved only as far as it was asked for."""

from typing import Any

import numpy as np
import pytest

from digits.toolkit.dataset import Dataset
from digits.training.recipe import AugmentParams

pytestmark = pytest.mark.usefixtures("tensorflow")

NOT_MOVED = AugmentParams()


@pytest.fixture
def numbered() -> Dataset:
    """100 images of 12×12, all pixels the image's number, which is its label too."""
    numbers = np.arange(100)
    images = np.broadcast_to(numbers[:, None, None], (100, 12, 12)).astype(np.uint8)
    return Dataset(images, numbers)


def epochs(data: Dataset, *, count: int = 1, **changes: Any) -> list[list[Any]]:
    """The batches of so many epochs."""
    from digits.training.batches import batches

    arguments = {"classes": 100, "batch_size": 32, "seed": 1, "augment": NOT_MOVED} | changes
    epoch = batches(data, **arguments)
    return [list(epoch.as_numpy_iterator()) for _ in range(count)]


def order(epoch: list[Any]) -> list[int]:
    return [int(number) for images, _ in epoch for number in images[:, 0, 0]]


def test_an_epoch_shows_each_image_once_and_the_last_batch_may_be_smaller(
    numbered: Dataset,
) -> None:
    [epoch] = epochs(numbered)
    assert [len(images) for images, _ in epoch] == [32, 32, 32, 4]
    assert sorted(order(epoch)) == list(range(100))


def test_the_seed_decides_all_orders(numbered: Dataset) -> None:
    first, again, other = (epochs(numbered, count=2, seed=seed) for seed in (1, 1, 2))
    assert [*map(order, first)] == [*map(order, again)]
    assert order(first[0]) != order(first[1])
    assert order(first[0]) != order(other[0])
    assert order(first[1]) != order(other[1])


@pytest.mark.parametrize("in_memory", [0, 1 << 20])
@pytest.mark.parametrize(("replicas", "sizes"), [(1, [40, 40, 20]), (3, [39, 39, 21])])
def test_validation_batches_keep_the_order(
    numbered: Dataset,
    monkeypatch: pytest.MonkeyPatch,
    in_memory: int,
    replicas: int,
    sizes: list[int],
) -> None:
    from digits.training import batches

    monkeypatch.setattr(batches, "IN_MEMORY", in_memory)
    monkeypatch.setattr(batches, "VALIDATION_BATCH", 40)
    epoch = batches.in_order(numbered, classes=100, replicas=replicas)
    assert len(epoch) == 3
    found = list(epoch.as_numpy_iterator())
    assert [len(images) for images, _ in found] == sizes
    assert order(found) == list(range(sum(sizes)))
    assert [*np.concatenate([labels for _, labels in found]).argmax(axis=1)] == order(found)


def test_each_epoch_moves_an_image_in_another_way(digits_8x8: Dataset) -> None:
    one = digits_8x8.take(np.arange(1))
    first, second = epochs(one, count=2, classes=10, augment=AugmentParams(shift=2))
    assert (first[0][0] != second[0][0]).any()


def moved(images: np.ndarray, **by: float) -> np.ndarray:
    import tensorflow as tf

    from digits.training import batches

    seed = tf.constant([1, 2], tf.int64)
    return np.asarray(batches.moved(tf.constant(images), seed, by=AugmentParams(**by)))


def centred(n: int = 200, height: int = 21, width: int = 31) -> np.ndarray:
    """Images with one bright square about the centre."""
    images = np.zeros((n, height, width), np.uint8)
    top, left = (height - 7) // 2, (width - 7) // 2
    images[:, top : top + 7, left : left + 7] = 200
    return images


def centres(images: np.ndarray) -> np.ndarray:
    """Centre of mass of each image: x, y in pixels from the middle."""
    height, width = images.shape[1:]
    mass = images.sum(axis=(1, 2))
    x = (images.sum(axis=1) * (np.arange(width) - (width - 1) / 2)).sum(axis=1) / mass
    y = (images.sum(axis=2) * (np.arange(height) - (height - 1) / 2)).sum(axis=1) / mass
    return np.stack([x, y])


def test_moved_by_nothing_is_the_same_image() -> None:
    np.testing.assert_array_equal(moved(centred()), centred())


@pytest.mark.parametrize(("height", "width"), [(29, 29), (15, 57)])
def test_a_shift_goes_both_ways_along_both_axes_and_scales_with_them(
    height: int, width: int
) -> None:
    shifts = centres(moved(centred(height=height, width=width), shift=2)) / [[width], [height]]
    assert np.abs(shifts).max() <= 2 / 28 + 1e-6
    for axis in shifts:
        assert axis.min() < -1.8 / 28
        assert axis.max() > 1.8 / 28
    assert abs(np.corrcoef(shifts)[0, 1]) < 0.2


@pytest.mark.parametrize("by", [{"rotation": 90}, {"zoom": 0.3}, {"shear": 0.3}])
def test_other_moves_keep_the_centre_where_it_is(by: dict[str, float]) -> None:
    result = moved(centred(), **by)
    np.testing.assert_allclose(centres(result), 0, atol=0.02)
    assert (result != centred()).any(axis=(1, 2)).mean() > 0.9


@pytest.mark.parametrize("by", [{"rotation": 30}, {"zoom": 0.3, "shear": 0.2, "shift": 2}])
def test_each_channel_of_a_colour_image_moves_as_a_grey_one(by: dict[str, float]) -> None:
    grey = np.random.default_rng(0).integers(0, 256, (50, 9, 12), np.uint8)
    colour = np.stack([grey, grey // 2 * 2, 255 - grey], axis=-1)
    result = moved(colour, **by)
    for channel in range(3):
        np.testing.assert_array_equal(result[..., channel], moved(colour[..., channel], **by))


def test_a_rotation_keeps_the_area_and_a_zoom_changes_it() -> None:
    area = centred().sum(axis=(1, 2))
    np.testing.assert_allclose(moved(centred(), rotation=45).sum(axis=(1, 2)), area, rtol=0.02)
    zoomed = moved(centred(), zoom=0.3).sum(axis=(1, 2)) / area
    assert zoomed.min() < 0.8
    assert zoomed.max() > 1.3
