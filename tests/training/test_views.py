"""Test-time augmentation: a model returns its mean over views of the image."""

from typing import Any

import numpy as np
import pytest

from digits.training.recipe import ViewParams

pytestmark = pytest.mark.usefixtures("tensorflow")


def mean_view(images: np.ndarray, **by: Any) -> np.ndarray:
    """What a model would be shown on average: its answer is the image itself."""
    import keras

    from digits.training.final_model import over_views

    shape = images.shape[1:]
    layers = [keras.layers.Rescaling(1.0), keras.layers.Flatten()]
    same = keras.Sequential([keras.Input(shape, dtype="uint8"), *layers])
    return np.asarray(over_views(same, by=ViewParams(**by))(images)).reshape(-1, *shape)


def test_shifted_views_are_the_image_and_it_left_and_right() -> None:
    image = np.zeros((1, 6, 14), np.uint8)
    image[0, 2, 4], image[0, 5, 0] = 90, 30
    expected = np.zeros((1, 6, 14))
    expected[0, 2, [2, 4, 6]], expected[0, 5, [0, 2]] = 30, 10
    np.testing.assert_allclose(mean_view(image, shift=4), expected, rtol=1e-6)  # of 28


def test_stretched_views_are_wide_and_low_and_high_and_narrow() -> None:
    full = np.full((1, 10, 20), 90, np.uint8)
    seen = mean_view(full, stretch=0.2)[0]  # one row and two columns at each edge
    assert seen[1:-1, 2:-2] == pytest.approx(90)
    assert seen[[0, -1], 2:-2] == pytest.approx(60)  # the low view ends there
    assert seen[1:-1, [0, 1, -2, -1]] == pytest.approx(60)
    assert seen[0, [0, 1, -2, -1]] == pytest.approx(30)


def test_all_views_count_alike() -> None:
    images = np.random.default_rng(0).integers(0, 256, (3, 12, 12), np.uint8)
    apart = [mean_view(images, shift=2) * 3, mean_view(images, stretch=0.2) * 3]
    together = mean_view(images, shift=2, stretch=0.2)
    np.testing.assert_allclose(together, (sum(apart) - images) / 5, rtol=1e-5)


def test_views_of_colour_are_those_of_its_channels() -> None:
    images = np.random.default_rng(0).integers(0, 256, (3, 12, 10, 3), np.uint8)
    by = {"shift": 3, "stretch": 0.2}
    channels = [mean_view(images[..., channel], **by) for channel in range(3)]
    np.testing.assert_allclose(mean_view(images, **by), np.stack(channels, axis=-1), rtol=1e-5)


def test_a_model_without_views_is_left_as_it_is() -> None:
    import keras

    from digits.training.final_model import over_views

    model = keras.Sequential([keras.Input((8, 8), dtype="uint8"), keras.layers.Flatten()])
    assert over_views(model, by=ViewParams()) is model
    # an eighth of a pixel is none, and so is a quarter
    assert over_views(model, by=ViewParams(stretch=0.03, shift=1)) is model
