"""Figures of the raw data."""

import numpy as np
import pytest
from helpers import finding

from imageproof.base._dataset import Dataset
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
    values = [[10 / 3, 10, np.nan], [2, 10, np.nan], [104**0.5 / 3, 0, np.nan]]
    np.testing.assert_allclose(np.reshape([*summary.values()], (3, 3)), values)
