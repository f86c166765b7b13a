"""Figures of the raw data."""

import numpy as np
import pytest
from helpers import finding

from imageproof.base._dataset import Dataset, fingerprints
from imageproof.base.errors import DataError
from imageproof.data import _exploration


def test_every_class_is_counted():
    table = _exploration.class_distribution(np.array([0, 0, 2]), names=["shirt", "coat", "bag"])
    assert table["count"].tolist() == [2, 0, 1]
    assert table["percent"].tolist() == pytest.approx([200 / 3, 0, 100 / 3])


@pytest.mark.parametrize("label", [-1, 2])
def test_a_label_that_is_no_class_is_refused(label):
    labels = np.array([0, 1, label])
    line = finding(DataError, _exploration.class_distribution, labels, names=["a", "b"])
    assert line.startswith(f"label {label} is outside 0…1; ")


def test_each_pixel_is_summarised_over_images_spread_over_its_class(monkeypatch):
    monkeypatch.setattr(_exploration, "MOST", 3)
    images = np.array([0, 8, 2, 99, 8, 10], np.uint8).reshape(6, 1, 1)  # of which every second
    summary = _exploration.pixel_statistics(Dataset(images, np.array([0] * 5 + [1])), classes=3)
    expected = {"mean": [10 / 3, 10], "median": [2, 10], "standard_deviation": [104**0.5 / 3, 0]}
    for name, values in expected.items():
        np.testing.assert_allclose(summary[name].ravel(), [*values, np.nan])


def test_samples_are_of_their_class_and_follow_the_seed(images_8x8):
    first, another = (
        _exploration.samples(images_8x8, classes=10, per_class=5, seed=seed) for seed in (1, 2)
    )
    for label, images in enumerate(first):
        members = images_8x8.images[images_8x8.labels == label]
        assert {*fingerprints(images)} <= {*fingerprints(members)}
    assert (first[0] != another[0]).any()
