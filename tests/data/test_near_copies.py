"""Near copies are found whatever was done to them, and pictures that only look alike are not."""

from collections.abc import Callable
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scipy.ndimage import gaussian_filter
from sklearn.datasets import load_digits

from imageproof.base.dataset import Images
from imageproof.data.near_copies import near_copies


def textures(n: int, *shape: int) -> Images:
    """Smooth random pictures of this shape, (height, width) or (height, width, 3)."""
    noise = np.random.default_rng(0).normal(size=(n, *shape))
    smooth = gaussian_filter(noise, (0, 1.5, 1.5, 0)[: noise.ndim], mode="wrap")
    return (128 + 50 * smooth / smooth.std()).clip(0, 255).astype(np.uint8)


def handwriting() -> Images:
    """500 handwritten digits (500, 28, 28), many of which look alike."""
    small = (load_digits().images[:500] * 15.9).astype(np.uint8)
    big = [Image.fromarray(image).resize((20, 20)) for image in small]
    return np.pad(np.stack(big), [(0, 0), (4, 4), (4, 4)])


def shapes(n: int) -> Images:
    """Colour pictures (n, 32, 32, 3) of one flat square on flat ground."""
    rng = np.random.default_rng(0)
    images = np.empty((n, 32, 32, 3), np.uint8)
    for image in images:
        image[:], colour = rng.integers(0, 256, (2, 3))
        (top, left), side = rng.integers(2, 20, 2), rng.integers(6, 12)
        image[top : top + side, left : left + side] = colour
    return images


def noisy(images: Images) -> Images:
    noise = np.random.default_rng(1).normal(0, 10, images.shape)
    return (images + noise).clip(0, 255).astype(np.uint8)


def shifted(images: Images) -> Images:
    padding = [(0, 0), (2, 0), (0, 1), (0, 0)][: images.ndim]
    return np.pad(images, padding, "edge")[:, : images.shape[1], 1:]


def brighter(images: Images) -> Images:
    return (images * 0.7 + 60).astype(np.uint8)


def as_jpeg(images: Images) -> Images:
    copies = []
    for image in images:
        Image.fromarray(image).save(file := BytesIO(), "JPEG", quality=70)
        copies.append(np.asarray(Image.open(file)))
    return np.stack(copies)


@pytest.mark.parametrize("change", [noisy, shifted, brighter, as_jpeg])
@pytest.mark.parametrize("shape", [(28, 28), (32, 32, 3)])
def test_changed_copies_name_their_originals(
    change: Callable[[Images], Images], shape: tuple[int, ...]
) -> None:
    images = textures(200, *shape)
    rows = near_copies(np.concatenate([images, change(images[:50])]))
    np.testing.assert_array_equal(rows[:200], -1)
    assert np.count_nonzero(rows[200:] == np.arange(50)) >= 45


@pytest.mark.parametrize("shape", [(64, 64), (96, 64, 3)])
def test_large_images_may_have_any_sides(shape: tuple[int, ...]) -> None:
    images = textures(40, *shape)
    rows = near_copies(np.concatenate([images, noisy(shifted(images[:20]))]))
    np.testing.assert_array_equal(rows[:40], -1)
    assert np.count_nonzero(rows[40:] == np.arange(20)) >= 18


def test_copies_of_digits_are_found_and_digits_that_look_alike_are_not() -> None:
    digits = handwriting()
    rows = near_copies(np.concatenate([digits, noisy(shifted(digits[:50]))]))
    assert np.count_nonzero(rows[:500] >= 0) <= 2
    assert np.count_nonzero(rows[500:] == np.arange(50)) >= 45


def test_copies_of_flat_shapes_are_found_though_many_differ_only_in_place_or_colour() -> None:
    images = shapes(2000)
    rows = near_copies(np.concatenate([images, noisy(shifted(images[:50]))]))
    assert np.count_nonzero(rows[:2000] >= 0) <= 20
    assert np.count_nonzero(rows[2000:] == np.arange(50)) >= 26


def test_equal_images_are_always_found() -> None:
    blank, image = np.zeros((1, 28, 28), np.uint8), textures(1, 28, 28)
    images = np.concatenate([image, blank, textures(99, 28, 28)[1:], blank, image, image])
    rows = near_copies(images)
    assert rows[-3:].tolist() == [1, 0, 0]
    np.testing.assert_array_equal(rows[:-3], -1)


def test_a_copy_of_a_copy_names_the_first_of_the_group() -> None:
    images = textures(50, 28, 28)
    copy = shifted(images[:1])
    rows = near_copies(np.concatenate([images, copy, shifted(copy)]))
    assert rows[-2:].tolist() == [0, 0]


def test_one_picture_in_two_colours_is_no_copy() -> None:
    red = np.zeros((1, 32, 32, 3), np.uint8)
    red[:, 8:20, 12:22, 0] = 200
    green = np.roll(red, 1, axis=3)
    assert near_copies(np.concatenate([red, green])).tolist() == [-1, -1]


@pytest.mark.parametrize("shape", [(1, 1), (2, 2), (8, 8), (3, 40)])
def test_tiny_images_are_compared(shape: tuple[int, ...]) -> None:
    images = np.random.default_rng(0).integers(0, 256, (5, *shape), np.uint8)
    images[4] = images[1]
    assert near_copies(images)[4] == 1


def test_images_may_be_mapped_from_a_file(tmp_path: Path) -> None:
    images = textures(50, 28, 28)
    np.save(tmp_path / "images.npy", np.concatenate([images, noisy(images)]))
    mapped = np.load(tmp_path / "images.npy", mmap_mode="r")
    np.testing.assert_array_equal(near_copies(mapped), [*[-1] * 50, *range(50)])
