"""Image files as a model's input: read, checked and converted to its size and grey values."""

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from digits.toolkit.dataset import Fit, Images, Shape
from digits.toolkit.errors import DataError, one_line

FORMATS = ("PNG", "JPEG")
EIGHT_BITS = ("1", "L", "LA", "P", "RGB", "RGBA")  # Pillow's modes that fit into 8 bits
SUFFIXES = (".png", ".jpg", ".jpeg")
MAX_PIXELS = 25_000_000  # what a phone's camera makes; more would only fill memory
LARGE = (2000, 2000)  # what is larger is scaled down: conversion takes 40 bytes a pixel
MIN_CONTRAST = 16  # grey levels between paper and ink; less is noise
FAINT = 0.1  # of the darkest ink; fainter values are paper grain and JPEG artefacts
BOX = 20 / 28  # share of the image's side that the digit fills

Grey = NDArray[np.float64]  # (height, width), 0…255

# How a picture became the model's input, as predictions and answers name it.
TREATMENTS = {
    "as is": "grey and of the model's size, so its pixels are the input, light on dark",
    "digit": "cropped to the ink, made light on dark, scaled and centred by its mass",
    "stretch": "made grey and stretched to the model's size",
}

Converted = tuple[Images, str]  # a model's input uint8 (height, width), its key in TREATMENTS


def is_picture(name: str) -> bool:
    return name.lower().endswith(SUFFIXES)


def read_pictures(paths: Sequence[Path], *, shape: Shape, fit: Fit) -> list[Converted]:
    """Read PNG or JPEG files as a model's input; DataError with a finding per bad picture."""
    found: list[Converted] = []
    findings: list[str] = []
    for path in paths:
        try:
            if path.exists() and not path.is_file():
                raise DataError("is a folder, a pipe or a device; a picture is allowed")
            found.append(convert_picture(decode_picture(path), shape=shape, fit=fit))
        except DataError as error:
            findings.append(f"{path}: {error}")
    if findings:
        raise DataError(*findings)
    return found


def decode_picture(file: IO[bytes] | Path) -> Image.Image:
    """Decode a PNG or JPEG, turned upright by its EXIF orientation; DataError if it is none."""
    try:
        with warnings.catch_warnings(action="ignore"), Image.open(file, formats=FORMATS) as image:
            if image.width * image.height > MAX_PIXELS:  # before they are decoded
                raise ValueError(f"over {MAX_PIXELS:,} pixels; scale it down")
            image.load()
            ImageOps.exif_transpose(image, in_place=True)  # else it is there twice
            return image
    except UnidentifiedImageError:
        raise DataError("neither PNG nor JPEG, whatever its name says") from None
    except Exception as error:  # Pillow raises many kinds on damaged files
        reason = one_line(error) or type(error).__name__
        raise DataError(f"cannot be read as an image: {reason}") from None


def convert_picture(image: Image.Image, *, shape: Shape, fit: Fit) -> Converted:
    """Convert a picture to the pixels (height, width) that a model takes.

    One of this size in opaque 8-bit grey, in whatever mode its file stores that, stays as it is.
    Any other is converted as a handwritten `digit` (see `normalise`), or as a `plain` picture.
    """
    if (image.height, image.width) == shape and image.mode in EIGHT_BITS:
        red, green, blue, alpha = np.asarray(image.convert("RGBA")).transpose(2, 0, 1)
        if np.array_equal(red, green) and np.array_equal(red, blue) and alpha.min() == 255:
            return red, "as is"
    grey = _grey(image)
    if fit != "digit":
        return np.rint(_resized(grey, shape, Image.Resampling.BILINEAR)).astype(np.uint8), fit
    return normalise(grey, shape=shape), fit


def normalise(grey: Grey, *, shape: Shape) -> Images:
    """Convert a grey picture (height, width) 0…255 of a digit to the form of training images.

    The border is taken for the background. The digit is made light on dark, cropped and scaled to
    20/28 of the image with its proportions kept, and its centre of mass is shifted to the image's
    centre (as LeCun, Cortes and Burges made their database of 28×28 images in 1998).
    A blank picture is a DataError.
    """
    if np.ptp(grey) < MIN_CONTRAST:
        raise DataError(f"blank, its contrast is below {MIN_CONTRAST} of 255")
    ink = _ink(grey)
    rows, columns = np.flatnonzero(ink.any(axis=1)), np.flatnonzero(ink.any(axis=0))
    cropped = ink[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    scale = BOX * min(shape) / max(cropped.shape)
    height, width = (max(1, round(side * scale)) for side in cropped.shape)
    digit = _resized(cropped, (height, width), Image.Resampling.BICUBIC)
    digit = np.clip(digit * (255 / digit.max()), 0, 255)
    top, left = (_corner(digit.sum(axis=1 - axis), shape[axis]) for axis in (0, 1))
    canvas = np.zeros(shape, dtype=np.uint8)
    canvas[top : top + height, left : left + width] = np.rint(digit)
    return canvas


def _resized(grey: Grey, shape: Shape, resampling: Image.Resampling) -> Grey:
    image: Any = Image.fromarray(grey.astype(np.float32))
    return np.asarray(image.resize(shape[::-1], resampling), np.float64)  # antialiases shrinking


def _grey(image: Image.Image) -> Grey:
    """Grey values 0…255, (height, width); transparent pixels get the opposite of the ink."""
    has_16_bits = image.mode.startswith("I")  # Pillow would clip them
    image = image.convert("I" if has_16_bits else "LA" if image.has_transparency_data else "L")
    image.thumbnail(LARGE, Image.Resampling.BOX)
    values: Grey = np.asarray(image, np.float64)
    if image.mode == "LA":
        grey, opacity = values[..., 0], values[..., 1] / 255
        is_dark = (grey * opacity).sum() < 128 * opacity.sum()
        return grey * opacity + (255 if is_dark else 0) * (1 - opacity)
    return values / 257 if has_16_bits else values


def _ink(grey: Grey) -> Grey:
    """The amount of ink per pixel, 0…255: its distance from the background, faint values 0."""
    background = float(np.median(np.concatenate([grey[0], grey[-1], grey[:, 0], grey[:, -1]])))
    is_lighter = grey.max() - background > background - grey.min()
    ink = np.clip(grey - background if is_lighter else background - grey, 0, None)
    ink *= 255 / ink.max()
    ink[ink < FAINT * 255] = 0
    return ink


def _corner(weights: NDArray[np.float64], room: int) -> int:
    """Where the digit starts so that its centre of mass is at room/2, as far as it fits."""
    centre = np.average(np.arange(len(weights)), weights=weights)
    return int(np.clip(round(room / 2 - centre), 0, room - len(weights)))


def probe(path: Path) -> tuple[int, int, bool]:
    """Height, width and whether it has colour, from the head of a file; DataError if it has none."""
    try:
        with Image.open(path, formats=FORMATS) as image:
            return image.height, image.width, image.mode in ("RGB", "RGBA", "P", "CMYK")
    except Exception as error:
        raise DataError(f"cannot be read as an image: {one_line(error)}") from None
