"""Batches of a training: each image once per epoch, moved only as far as it was asked for."""

from typing import Any

import numpy as np
import pytest

from digits.training.recipe import AugmentParams
from imageproof.base.dataset import Dataset

pytestmark = pytest.mark.usefixtures("tensorflow")


@pytest.fixture
def numbered() -> Dataset:
    """100 images of 12×12, all pixels the image's number, which is its label too."""
    numbers = np.arange(100)
    images = np.broadcast_to(numbers[:, None, None], (100, 12, 12)).astype(np.uint8)
    return Dataset(images, numbers)


def epochs(data: Dataset, *, count: int = 1, seed: int = 1, **changes: Any) -> list[list[Any]]:
    """The batches of so many epochs."""
    from imageproof.keras.batching import Order, shuffled

    arguments = {"classes": 100, "batch_size": 32} | changes
    epoch = shuffled(data, order=Order(seed), **arguments)
    return [list(epoch.as_numpy_iterator()) for _ in range(count)]


def order(epoch: list[Any]) -> list[int]:
    return [int(number) for images, _ in epoch for number in images[:, 0, 0]]


def test_epoch_shows_each_image_once(numbered: Dataset) -> None:
    [epoch] = epochs(numbered)
    assert [len(images) for images, _ in epoch] == [32, 32, 32, 4]
    assert sorted(order(epoch)) == list(range(100))
    [even] = epochs(numbered, batch_size=33, replicas=2)  # of two devices
    assert [len(images) for images, _ in even] == [32] * 3


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
    from imageproof.keras import batching

    monkeypatch.setattr(batching, "IN_MEMORY", in_memory)
    monkeypatch.setattr(batching, "VALIDATION_BATCH", 40)
    epoch = batching.in_order(numbered, classes=100, replicas=replicas)
    assert len(epoch) == 3
    read = list(epoch.as_numpy_iterator())
    assert [len(images) for images, _ in read] == sizes
    assert order(read) == list(range(sum(sizes)))
    assert [*np.concatenate([labels for _, labels in read]).argmax(axis=1)] == order(read)


def test_each_epoch_moves_an_image_in_another_way(images_8x8: Dataset) -> None:
    from digits.training.augmentation import augmentation

    moved = augmentation(AugmentParams(shift=2))
    one = images_8x8.take(np.arange(1))
    first, second = epochs(one, count=2, classes=10, augment=moved)
    assert (first[0][0] != second[0][0]).any()


def test_fused_normalization_trains_as_keras_does() -> None:
    import keras

    from imageproof.keras.normalization import FusedBatchNormalization

    images = np.random.default_rng(0).normal(3, 2, (64, 5, 5, 4)).astype(np.float32)
    layers = [
        kind(momentum=0.9) for kind in (FusedBatchNormalization, keras.layers.BatchNormalization)
    ]
    trained = [np.asarray(layer(images, training=True)) for layer in layers]
    served = [np.asarray(layer(images, training=False)) for layer in layers]
    np.testing.assert_allclose(*trained, atol=1e-4)
    # its variance is the sample's, n / (n - 1) of the one that Keras remembers
    np.testing.assert_allclose(*served, rtol=1e-3)
    assert np.abs(trained[0] - served[0]).max() > 0.1
