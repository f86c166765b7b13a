"""Descriptions of images by classical means: grey values or colours, coarse pixels, edges."""

from collections.abc import Callable, Mapping
from math import prod

import numpy as np
from numpy.typing import NDArray

from imageproof.base._dataset import Images
from imageproof.base._inference import Features

COLOUR_LEVELS = 4  # of each channel: 64 colours
GREY_LEVELS = 32
GRID = 8  # cells along each side; fewer of an image with fewer pixels
ORIENTATIONS = 9

Floats = NDArray[np.float32]


def histogram(images: Images) -> Features:
    """The share of the pixels with each grey value or colour, float32 (n, 32) or (n, 64).

    Its square root is taken, so that products of histograms are Hellinger's kernel.
    """
    if images.ndim == 3:
        numbers = images // (256 // GREY_LEVELS)
        colours = GREY_LEVELS
    else:
        red, green, blue = np.moveaxis(images // (256 // COLOUR_LEVELS), -1, 0)
        numbers = (red * COLOUR_LEVELS + green) * COLOUR_LEVELS + blue
        colours = COLOUR_LEVELS**3
    counts = _sums(numbers, np.ones(numbers.shape, np.float32), colours)
    shares: Features = np.sqrt(counts / numbers[0].size)
    return shares


def coarse_pixels(images: Images) -> Features:
    """The mean of each channel in the cells of a grid, float32 (n, channels · cells)."""
    cells = _cells(images)
    sizes = np.bincount(cells.ravel()).astype(np.float32)
    channels = np.moveaxis(_with_channels(images), -1, 0)
    numbers = np.broadcast_to(cells, channels[0].shape)
    means = [_sums(numbers, values, len(sizes)) / sizes for values in channels]
    return np.concatenate(means, axis=1)


def hog(images: Images) -> Features:
    """Histograms of oriented gradients, float32 (n, cells · 9).

    Dalal and Triggs 2005, «Histograms of Oriented Gradients for Human Detection»: orientations
    without a sign, weighted by magnitude, of the channel with the largest gradient. A cell is
    normalised once, by the 3×3 cells around it, not in each block that it belongs to.
    """
    direction, strength = _edges(images)
    position = direction * ORIENTATIONS
    lower = position.astype(np.int64)
    share = position - lower
    cells = _cells(images)
    grid = [min(GRID, length) for length in cells.shape]
    bins = prod(grid) * ORIENTATIONS
    histograms = np.zeros((len(images), bins), np.float32)
    for orientation, weight in ((lower, 1 - share), (lower + 1, share)):
        numbers = cells * ORIENTATIONS + orientation % ORIENTATIONS
        histograms += _sums(numbers, strength * weight, bins)
    return _normalised(histograms.reshape(len(images), *grid, ORIENTATIONS))


def _normalised(histograms: Floats) -> Features:
    """Histograms (n, down, across, 9) divided by the length of those of the cells around."""
    energy = np.pad((histograms**2).sum(axis=-1), ((0, 0), (1, 1), (1, 1)))
    around = np.lib.stride_tricks.sliding_window_view(energy, (3, 3), axis=(1, 2))
    norm = np.sqrt(around.sum(axis=(-2, -1)) + 1)
    features: Features = (histograms / norm[..., None]).reshape(len(histograms), -1)
    return features


DESCRIPTORS: Mapping[str, Callable[[Images], Features]] = {
    "colour histogram": histogram,
    "coarse pixels": coarse_pixels,
    "HOG": hog,
}


def _edges(images: Images) -> tuple[Floats, Floats]:
    """Direction 0…1 of half a turn, and strength, of the gradient at each pixel (n, height, width).

    They are those of the channel whose gradient is largest.
    """
    padded = np.pad(_with_channels(images), ((0, 0), (1, 1), (1, 1), (0, 0)), mode="edge")
    down = padded[:, 2:, 1:-1] - padded[:, :-2, 1:-1]
    right = padded[:, 1:-1, 2:] - padded[:, 1:-1, :-2]
    strength = np.hypot(down, right)
    channel = strength.argmax(axis=-1)[..., None]
    down = np.take_along_axis(down, channel, axis=-1)[..., 0]
    right = np.take_along_axis(right, channel, axis=-1)[..., 0]
    return np.arctan2(down, right) / np.pi % 1, strength.max(axis=-1)


def _with_channels(images: Images) -> Floats:
    return images.reshape(*images.shape[:3], -1).astype(np.float32)


def _cells(images: Images) -> NDArray[np.int64]:
    """The number of the cell of the grid that each pixel is in, int64 (height, width)."""
    height, width = images.shape[1:3]
    rows = np.arange(height) * min(GRID, height) // height
    columns = np.arange(width) * min(GRID, width) // width
    cells: NDArray[np.int64] = np.add.outer(rows * min(GRID, width), columns)
    return cells


def _sums(numbers: NDArray[np.integer], weights: Floats, count: int) -> Features:
    """Per image the sum of the weights of the pixels with each number below `count`."""
    images = len(numbers)
    bins = numbers + count * np.arange(images)[:, None, None]
    sums = np.bincount(bins.ravel(), weights=weights.ravel(), minlength=images * count)
    return sums.reshape(images, count).astype(np.float32)
