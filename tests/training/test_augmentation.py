"""Random changes of training images: what each does, and how far it goes."""

import numpy as np
import pytest

from digits.training.recipe import AugmentParams

pytestmark = pytest.mark.usefixtures("tensorflow")


def augmented(images: np.ndarray, **by: float) -> np.ndarray:
    import tensorflow as tf

    from digits.training import augmentation

    seed = tf.constant([1, 2], tf.int64)
    return np.asarray(augmentation.augmented(tf.constant(images), seed, by=AugmentParams(**by)))


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


def test_augmented_by_nothing_is_the_same_image() -> None:
    np.testing.assert_array_equal(augmented(centred()), centred())


@pytest.mark.parametrize(("height", "width"), [(29, 29), (15, 57)])
def test_shift_goes_both_ways_and_scales_with_the_sides(height: int, width: int) -> None:
    shifts = centres(augmented(centred(height=height, width=width), shift=2)) / [[width], [height]]
    assert np.abs(shifts).max() <= 2 / 28 + 1e-6
    for axis in shifts:
        assert axis.min() < -1.8 / 28
        assert axis.max() > 1.8 / 28
    assert abs(np.corrcoef(shifts)[0, 1]) < 0.2


@pytest.mark.parametrize("by", [{"rotation": 90}, {"zoom": 0.3}, {"shear": 0.3}])
def test_other_moves_keep_the_centre_where_it_is(by: dict[str, float]) -> None:
    result = augmented(centred(), **by)
    np.testing.assert_allclose(centres(result), 0, atol=0.02)
    assert (result != centred()).any(axis=(1, 2)).mean() > 0.9


@pytest.mark.parametrize("by", [{"rotation": 30}, {"zoom": 0.3, "shear": 0.2, "shift": 2}])
def test_each_channel_of_a_colour_image_moves_as_a_grey_one(by: dict[str, float]) -> None:
    grey = np.random.default_rng(0).integers(0, 256, (50, 9, 12), np.uint8)
    colour = np.stack([grey, grey // 2 * 2, 255 - grey], axis=-1)
    result = augmented(colour, **by)
    for channel in range(3):
        np.testing.assert_array_equal(result[..., channel], augmented(colour[..., channel], **by))


def test_a_rotation_keeps_the_area_and_a_zoom_changes_it() -> None:
    area = centred().sum(axis=(1, 2))
    np.testing.assert_allclose(augmented(centred(), rotation=45).sum(axis=(1, 2)), area, rtol=0.02)
    zoomed = augmented(centred(), zoom=0.3).sum(axis=(1, 2)) / area
    assert zoomed.min() < 0.8
    assert zoomed.max() > 1.3


def colours(n: int = 400) -> np.ndarray:
    """Images whose values are far from black and white."""
    return np.random.default_rng(0).integers(80, 140, (n, 9, 12, 3), np.uint8)


def test_half_of_the_images_are_mirrored() -> None:
    images = colours()
    result = augmented(images, flip=True)
    same = (result == images).all(axis=(1, 2, 3))
    mirrored = (result == images[:, :, ::-1]).all(axis=(1, 2, 3))
    assert (same | mirrored).all()
    assert 0.4 < mirrored.mean() < 0.6


@pytest.mark.parametrize("images", [colours(), colours()[..., 0]], ids=["colour", "grey"])
def test_brightness_multiplies_all_values_of_an_image(images: np.ndarray) -> None:
    factors = augmented(images, brightness=0.3) / images
    each = factors.reshape(len(images), -1)
    np.testing.assert_allclose(each, each[:, :1].repeat(each.shape[1], axis=1), rtol=1e-5)
    assert 0.7 <= each.min() < 0.73 < 1.27 < each.max() <= 1.3
    assert augmented(images * np.uint8(2), brightness=0.9).max() == 255


@pytest.mark.parametrize("images", [colours(), colours()[..., 0]], ids=["colour", "grey"])
def test_contrast_keeps_the_mean_and_changes_the_deviation(images: np.ndarray) -> None:
    result = augmented(images, contrast=0.3)
    if images.ndim == 3:
        np.testing.assert_allclose(result.mean(axis=(1, 2)), images.mean(axis=(1, 2)), rtol=1e-4)
    factors = result.reshape(len(images), -1).std(axis=1) / images.reshape(len(images), -1).std(
        axis=1
    )
    assert 0.7 <= factors.min() < 0.73 < 1.27 < factors.max() <= 1.3 + 1e-5


def test_saturation_keeps_the_grey_of_each_pixel() -> None:
    weights, images = (0.2989, 0.587, 0.114), colours()
    result = augmented(images, saturation=0.5)
    np.testing.assert_allclose(result @ weights, images @ weights, rtol=1e-3)
    spread = np.ptp(result, axis=-1).sum(axis=(1, 2)) / np.ptp(images, axis=-1).sum(axis=(1, 2))
    assert 0.5 <= spread.min() < 0.55 < 1.45 < spread.max() <= 1.5 + 1e-5


def test_cutout_blackens_one_rectangle_anywhere() -> None:
    result = augmented(np.full((2000, 20, 40, 3), 9, np.uint8), cutout=0.5)
    black = (result == 0).all(axis=-1)
    assert set(np.unique(result)) == {0, 9}
    rows, columns = black.any(axis=2).sum(axis=1), black.any(axis=1).sum(axis=1)
    np.testing.assert_array_equal(black.sum(axis=(1, 2)), rows * columns)
    assert (rows.max(), columns.max()) == (10, 20)
    share = black.mean(axis=0)
    assert share.min() > 0.05  # every place
    assert share[10, 20] > share[0, 0]  # the more, the nearer the middle


def test_a_change_that_is_added_leaves_the_others_as_they_are() -> None:
    images = colours()
    moved = augmented(images, rotation=20.0, shift=2.0)
    mirrored = augmented(images, rotation=20.0, shift=2.0, flip=True)
    either = (mirrored == moved) | (mirrored == moved[:, :, ::-1])
    assert either.all()


def test_what_comes_in_has_the_colour_of_the_border() -> None:
    paper = np.full((50, 20, 20, 3), (250, 255, 240), np.uint8)
    result = augmented(paper, rotation=30.0, shift=3.0, zoom=0.3, shear=0.3)
    np.testing.assert_array_equal(result, paper)
    dark = np.zeros((50, 20, 20), np.uint8)
    dark[:, 8:12, 8:12] = 200  # as of handwriting: black comes in
    assert augmented(dark, rotation=30.0, shift=3.0)[:, 0].max() == 0
