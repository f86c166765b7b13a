"""Batches of a training: each image once per epoch, moved only as far as it was asked for."""

import numpy as np
import pytest

from digits.training.recipe import AugmentParams
from imageproof.base._dataset import Dataset

# 100 images of 12×12, all pixels the image's number, which is its label too
NUMBERED = Dataset(np.arange(100, dtype=np.uint8).repeat(144).reshape(-1, 12, 12), np.arange(100))


@pytest.fixture(autouse=True, params=[0, 1 << 20], ids=["on disk", "in memory"])
def in_memory(tensorflow, request, monkeypatch):
    monkeypatch.setattr("imageproof.keras.batching.IN_MEMORY", request.param)


def epochs(data=NUMBERED, *, seed=1, **changes):
    """The batches of two epochs."""
    from imageproof.keras.batching import Order, shuffled

    arguments = {"classes": 100, "batch_size": 32} | changes
    epoch = shuffled(data, order=Order(seed), **arguments)
    return [list(epoch.as_numpy_iterator()) for _ in range(2)]


def order(epoch):
    """The numbers of the images; each has its label."""
    images, labels = map(np.concatenate, zip(*epoch, strict=True))
    numbers = images[:, 0, 0].tolist()
    assert labels.argmax(axis=1).tolist() == numbers
    return numbers


def sizes(epoch):
    return [len(images) for images, _ in epoch]


def test_epoch_shows_each_image_once_as_the_seed_decides():
    first, repeated, another_seed = (epochs(seed=seed) for seed in (1, 1, 2))
    for epoch in first:
        assert sizes(epoch) == [32, 32, 32, 4]
        assert sorted(order(epoch)) == [*range(100)]
    assert sizes(epochs(batch_size=33, replicas=2)[0]) == [32] * 3  # of two devices
    orders = [order(epoch) for epoch in first]
    assert orders == [order(epoch) for epoch in repeated]
    assert len({*map(tuple, [*orders, *map(order, another_seed), range(100)])}) == 5


@pytest.mark.parametrize(("replicas", "lengths"), [(1, [40, 40, 20]), (3, [39, 39, 21])])
def test_validation_batches_keep_the_order(monkeypatch, replicas, lengths):
    from imageproof.keras import batching

    monkeypatch.setattr(batching, "VALIDATION_BATCH", 40)
    batches = batching.in_order(NUMBERED, classes=100, replicas=replicas)
    epoch = list(batches.as_numpy_iterator())
    assert sizes(epoch) == lengths
    assert order(epoch) == [*range(sum(lengths))]
    assert len(batches) == 3


def test_each_epoch_moves_an_image_in_another_way():
    from digits.training.augmentation import augmentation

    single = NUMBERED.take(np.array([99]))
    brightened = augmentation(AugmentParams(brightness=0.5))
    [[first, _]], [[second, _]] = epochs(single, augment=brightened)
    assert (first != second).any()
