"""A picture of a handwritten digit in the form of LeCun, Cortes and Burges."""

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from imageproof.base._dataset import Images, Shape
from imageproof.base.errors import DataError

LARGE = 2000  # pixels of a side; more is scaled down: conversion takes 40 bytes a pixel
MIN_CONTRAST = 16  # grey levels between paper and ink; less is noise
FAINT = 0.1  # of the darkest ink; fainter values are paper grain and JPEG artefacts
BOX = 20 / 28  # share of the image's side that the digit fills

Grey = NDArray[np.float64]  # (height, width), 0…255


def grey_values(image: Image.Image) -> Grey:
    """Grey values of an 8-bit picture; transparent pixels get the opposite of the ink."""
    image = image.convert("LA" if image.has_transparency_data else "L")
    image.thumbnail((LARGE, LARGE), Image.Resampling.BOX)
    values: Grey = np.asarray(image, np.float64)
    if image.mode == "L":
        return values
    grey = values[..., 0]
    opacity = values[..., 1] / 255
    is_dark = (grey * opacity).sum() < 128 * opacity.sum()
    paper = 255 if is_dark else 0
    return grey * opacity + paper * (1 - opacity)


def normalise(grey: Grey, *, shape: Shape) -> Images:
    """Convert a grey picture (height, width) 0…255 of a digit to the form of training images.

    The border is taken for the background. The digit is made light on dark, cropped and scaled to
    20/28 of the image with its proportions kept, and its centre of mass is shifted to the image's
    centre (as LeCun, Cortes and Burges made their database of 28×28 images in 1998).
    A blank picture is a DataError.
    """
    if np.ptp(grey) < MIN_CONTRAST:
        raise DataError(f"blank, its contrast is below {MIN_CONTRAST} of 255")
    image = Image.fromarray(_ink(grey).astype(np.float32))
    image = image.crop(image.getbbox())
    scale = BOX * min(shape) / max(image.size)
    width, height = (max(1, round(side * scale)) for side in image.size)
    image = image.resize((width, height), Image.Resampling.BICUBIC)  # averages what shrinks
    digit = np.asarray(image, np.float64)
    digit = np.clip(digit * (255 / digit.max()), 0, 255)
    top = _corner(digit.sum(axis=1), shape[0])
    left = _corner(digit.sum(axis=0), shape[1])
    canvas = np.zeros(shape, dtype=np.uint8)
    canvas[top : top + height, left : left + width] = np.rint(digit)
    return canvas


def border(image: np.ndarray) -> np.ndarray:
    """The pixels at the edges of an image (height, width, …), the corners twice: (n, …)."""
    return np.concatenate([image[0], image[-1], image[:, 0], image[:, -1]])


def _ink(grey: Grey) -> Grey:
    """The amount of ink per pixel, 0…255: its distance from the background, faint values 0."""
    background = float(np.median(border(grey)))
    is_lighter = grey.max() - background > background - grey.min()
    distance = grey - background if is_lighter else background - grey
    ink = np.clip(distance, 0, None)
    ink *= 255 / ink.max()
    ink[ink < FAINT * 255] = 0
    return ink


def _corner(weights: NDArray[np.float64], room: int) -> int:
    """Where a digit with these sums of rows or columns starts in `room` pixels.

    Its centre of mass is then at room/2, or as near as the digit fits.
    """
    centre = np.average(np.arange(len(weights)), weights=weights)
    start = round(room / 2 - centre)
    return int(np.clip(start, 0, room - len(weights)))
