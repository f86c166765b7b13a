"""The most confident mistakes."""

import numpy as np
import pytest

from digits.core.dataset import Dataset
from digits.evaluation.mistakes import most_confident

LABELS = np.array([0, 0, 1, 1, 0])
PROBABILITIES = np.array([[0.9, 0.1], [0.3, 0.7], [0.9, 0.1], [0.2, 0.8], [0.1, 0.9]], np.float32)


@pytest.fixture
def data():
    images = np.arange(5 * 6, dtype=np.uint8).reshape(5, 2, 3)
    return Dataset(images, LABELS)


def test_only_mistakes_are_found_and_the_surest_comes_first(data):
    found = most_confident(data, PROBABILITIES, limit=10)
    assert found.rows.tolist() == [2, 4, 1]
    assert found.truth.tolist() == [1, 0, 0]
    assert found.prediction.tolist() == [0, 1, 1]
    assert found.probability.tolist() == pytest.approx([0.9, 0.9, 0.7])


def test_each_mistake_comes_with_its_image(data):
    found = most_confident(data, PROBABILITIES, limit=10)
    np.testing.assert_array_equal(found.images, data.images[[2, 4, 1]])


def test_the_limit_keeps_the_surest(data):
    assert most_confident(data, PROBABILITIES, limit=1).rows.tolist() == [2]


def test_a_perfect_model_has_none(data):
    found = most_confident(data, np.eye(2, dtype=np.float32)[LABELS], limit=10)
    assert len(found.rows) == 0
    assert found.images.shape == (0, 2, 3)
