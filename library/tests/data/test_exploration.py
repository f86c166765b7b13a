"""Figures of the raw data."""

import numpy as np
import pytest

from imageproof.base.dataset import Dataset
from imageproof.base.errors import DataError
from imageproof.data import exploration


def test_every_class_is_counted() -> None:
    table = exploration.class_distribution(np.array([0, 0, 2]), names=["shirt", "coat", "bag"])
    assert table["label"].tolist() == [0, 1, 2]
    assert table["count"].tolist() == [2, 0, 1]
    assert table["percent"].tolist() == pytest.approx([200 / 3, 0, 100 / 3])
    empty = exploration.class_distribution(np.array([], dtype=np.int64), names=["a", "b"])
    assert empty["percent"].tolist() == [0, 0]


@pytest.mark.parametrize("label", [-1, 2])
def test_a_label_that_is_no_class_is_refused(label):
    with pytest.raises(DataError, match=rf"1 are outside 0…1, the first is {label};"):
        exploration.class_distribution(np.array([0, 1, label]), names=["a", "b"])


def test_each_pixel_is_summarised_over_the_images_of_its_class():
    images = np.array([[[0, 255, 8]], [[2, 255, 8]], [[10, 0, 8]], [[99, 99, 99]]], dtype=np.uint8)
    summary = exploration.pixel_statistics(Dataset(images, np.array([0, 0, 0, 1])), classes=2)
    np.testing.assert_allclose(summary["mean"][0], [[4, 170, 8]])
    np.testing.assert_allclose(summary["median"][0], [[2, 255, 8]])
    np.testing.assert_allclose(summary["standard_deviation"][0] ** 2, [[56 / 3, 14450, 0]])
    np.testing.assert_allclose(summary["mean"][1], [[99, 99, 99]])

    summary = exploration.pixel_statistics(Dataset(images[:1], np.array([0])), classes=2)
    assert all(np.isnan(values[1]).all() for values in summary.values())
    assert (summary["standard_deviation"][0] == 0).all()


def test_a_large_class_is_described_by_images_spread_over_it(monkeypatch):
    monkeypatch.setattr(exploration, "MOST", 3)
    images = np.arange(7, dtype=np.uint8).reshape(7, 1, 1)
    result = exploration.pixel_statistics(Dataset(images, np.zeros(7, np.int64)), classes=1)
    assert result["mean"].item() == 3  # of 0, 3 and 6


def test_samples_are_of_their_class_and_follow_the_seed(images_8x8):
    draws = [exploration.samples(images_8x8, classes=10, per_class=5, seed=k) for k in (1, 1, 2)]
    for label, images in enumerate(draws[0]):
        members = {image.tobytes() for image in images_8x8.images[images_8x8.labels == label]}
        drawn = {image.tobytes() for image in images}
        assert drawn <= members
        assert len(drawn) == 5
    np.testing.assert_array_equal(draws[0], draws[1])
    assert (np.stack(draws[0]) != np.stack(draws[2])).any()
    three = exploration.samples(images_8x8.take(np.arange(3)), classes=4, per_class=5, seed=0)
    assert [len(images) for images in three] == [1, 1, 1, 0]
