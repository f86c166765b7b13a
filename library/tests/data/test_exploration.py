"""Figures of the raw data."""

import numpy as np
import pytest
from helpers import finding

from imageproof.base.dataset import Dataset
from imageproof.base.errors import DataError
from imageproof.data import exploration


def test_every_class_is_counted():
    table = exploration.class_distribution(np.array([0, 0, 2]), names=["shirt", "coat", "bag"])
    assert table["label"].tolist() == [0, 1, 2]
    assert table["count"].tolist() == [2, 0, 1]
    assert table["percent"].tolist() == pytest.approx([200 / 3, 0, 100 / 3])
    empty = exploration.class_distribution(np.array([], dtype=np.int64), names=["a", "b"])
    assert empty["percent"].tolist() == [0, 0]


@pytest.mark.parametrize("label", [-1, 2])
def test_a_label_that_is_no_class_is_refused(label):
    labels = np.array([0, 1, label])
    line = finding(DataError, lambda: exploration.class_distribution(labels, names=["a", "b"]))
    assert line.startswith(f"labels: 1 are outside 0…1, the first is {label}; ")


def test_each_pixel_is_summarised_over_the_images_of_its_class():
    images = np.array([[[0, 255, 8]], [[2, 255, 8]], [[10, 0, 8]], [[99, 99, 99]]], dtype=np.uint8)
    summary = exploration.pixel_statistics(Dataset(images, np.array([0, 0, 0, 1])), classes=3)
    np.testing.assert_allclose(summary["mean"][:2], [[[4, 170, 8]], [[99, 99, 99]]])
    np.testing.assert_allclose(summary["median"][0], [[2, 255, 8]])
    deviation = summary["standard_deviation"]
    np.testing.assert_allclose(deviation[:2] ** 2, [[[56 / 3, 14450, 0]], [[0, 0, 0]]])
    assert all(np.isnan(values[2]).all() for values in summary.values())


def test_a_large_class_is_described_by_images_spread_over_it(monkeypatch):
    monkeypatch.setattr(exploration, "MOST", 3)
    images = np.arange(7, dtype=np.uint8).reshape(7, 1, 1)
    result = exploration.pixel_statistics(Dataset(images, np.zeros(7, np.int64)), classes=1)
    assert result["mean"].item() == 3  # of 0, 3 and 6


def test_samples_are_of_their_class_and_follow_the_seed(images_8x8):
    first, again, another = (
        np.stack(exploration.samples(images_8x8, classes=10, per_class=5, seed=seed))
        for seed in (1, 1, 2)
    )
    for label, images in enumerate(first):
        members = images_8x8.images[images_8x8.labels == label]
        assert {image.tobytes() for image in images} <= {image.tobytes() for image in members}
    np.testing.assert_array_equal(first, again)
    assert (first != another).any()
    three = exploration.samples(images_8x8.take(np.arange(3)), classes=4, per_class=5, seed=0)
    assert [len(images) for images in three] == [1, 1, 1, 0]
