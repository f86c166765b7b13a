"""Random changes of training images: what each does, and how far it goes."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from digits.training.recipe import AugmentParams

pytestmark = pytest.mark.usefixtures("tensorflow")

COLOURS = np.random.default_rng(0).integers(80, 140, (400, 9, 12, 3), np.uint8)
GREY = (0.2989, 0.587, 0.114)


def augmented(images, **by):
    import tensorflow as tf

    from digits.training import augmentation

    seed = tf.constant([1, 2], tf.int64)
    return np.asarray(augmentation.augmented(tf.constant(images), seed, by=AugmentParams(**by)))


def centred(height=21, width=31):
    """Images with one bright square about the centre."""
    images = np.zeros((200, height, width), np.uint8)
    top = (height - 7) // 2
    left = (width - 7) // 2
    images[:, top : top + 7, left : left + 7] = 200
    return images


def centres(images):
    """Centre of mass of each image: x, y as shares of its width and height, from the middle."""
    weights = images / images.sum(axis=(1, 2), keepdims=True)
    x, y = (np.linspace(0.5 / side, 1 - 0.5 / side, side) - 0.5 for side in images.shape[:0:-1])
    return np.stack([weights.sum(axis=1) @ x, weights.sum(axis=2) @ y])


def assert_spread(factors, amount):
    """They lie anywhere within 1 ± amount."""
    assert -1.0001 <= (factors.min() - 1) / amount < -0.9
    assert 0.9 < (factors.max() - 1) / amount <= 1.0001


def test_shift_goes_both_ways_and_scales_with_the_sides():
    for axis in centres(augmented(centred(15, 57), shift=2)):
        assert_spread(1 + axis, 2 / 28)


@pytest.mark.parametrize(
    ("by", "smallest", "largest"),
    [({"rotation": 90}, 1, 1), ({"zoom": 0.3}, 0.6, 2), ({"shear": 0.3}, 1, 1)],
)
def test_other_moves_keep_the_centre(by, smallest, largest):
    result = augmented(centred(), **by)
    assert_allclose(centres(result), 0, atol=0.001)
    assert (result != centred()).any(axis=(1, 2)).mean() > 0.9
    areas = result.sum(axis=(1, 2)) / centred().sum(axis=(1, 2))
    assert (areas.min(), areas.max()) == pytest.approx((smallest, largest), rel=0.05)


def test_half_of_the_images_are_mirrored_whatever_else_is_done():
    moved = augmented(COLOURS, rotation=20, shift=2)
    result = augmented(COLOURS, rotation=20, shift=2, flip=True)
    is_same = (result == moved).all(axis=(1, 2, 3))
    is_mirrored = (result == moved[:, :, ::-1]).all(axis=(1, 2, 3))
    assert (is_same | is_mirrored).all()
    assert 0.4 < is_mirrored.mean() < 0.6


def test_brightness_and_contrast_have_a_factor_per_image():
    factors = (augmented(COLOURS, brightness=0.3) / COLOURS).reshape(400, -1)
    assert_allclose(np.ptp(factors, axis=1), 0, atol=1e-5)
    assert_spread(factors, 0.3)
    assert augmented(COLOURS * np.uint8(2), brightness=0.9).max() == 255

    result = augmented(COLOURS, contrast=0.3)
    means = (COLOURS @ GREY).mean(axis=(1, 2))
    assert_allclose((result @ GREY).mean(axis=(1, 2)), means, rtol=1e-3)
    assert_spread(result.std(axis=(1, 2, 3)) / COLOURS.std(axis=(1, 2, 3)), 0.3)


def test_saturation_keeps_the_grey_of_each_pixel():
    result = augmented(COLOURS, saturation=0.5)
    assert_allclose(result @ GREY, COLOURS @ GREY, rtol=1e-3)
    assert_spread(np.ptp(result, axis=-1).sum((1, 2)) / np.ptp(COLOURS, axis=-1).sum((1, 2)), 0.5)


def test_cutout_blackens_one_rectangle_of_at_most_half_a_side():
    result = augmented(np.full((2000, 20, 40, 3), 9, np.uint8), cutout=0.5)
    is_black = (result == 0).all(axis=-1)
    rows = is_black.any(axis=2).sum(axis=1)
    columns = is_black.any(axis=1).sum(axis=1)
    assert_array_equal(is_black.sum(axis=(1, 2)), rows * columns)
    assert (rows.max(), columns.max()) == (10, 20)


def test_what_comes_in_has_the_colour_of_the_border():
    paper = np.full((50, 20, 20, 3), (250, 255, 240), np.uint8)
    result = augmented(paper, rotation=30, shift=3, zoom=0.3, shear=0.3)
    assert_array_equal(result, paper)
    assert augmented(centred(), rotation=30, shift=3)[:, 0].max() == 0  # as of handwriting: black
