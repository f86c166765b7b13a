"""A picture of one handwritten digit, brought into the form of MNIST's images."""

import warnings
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from digits.data import Images
from digits.errors import DataError

FORMATS = ("PNG", "JPEG")
SUFFIXES = (".png", ".jpg", ".jpeg")
MAX_MEGAPIXELS = 25  # what a phone's camera makes; more would only fill memory
MIN_CONTRAST = 16  # grey levels between paper and ink; less is noise
FAINT = 0.1  # of the darkest ink: paper's grain and JPEG's ripples
BOX = 20 / 28  # of the image's side is what the digit fills

Grey = NDArray[np.float64]  # (height, width), 0…255


def read_digit(path: Path, *, shape: tuple[int, int]) -> Images:
    """Read a PNG or JPEG of one digit as uint8 (height, width), light on dark, as MNIST has it.

    Any size, dark on light or light on dark. Cropped to the ink, scaled to 20/28 of the image
    with its proportions kept, and shifted so that its centre of mass is the image's centre
    (LeCun, Cortes, Burges: «The MNIST database», http://yann.lecun.com/exdb/mnist).

    Raises:
        DataError: no such image, too large, or nothing in it.
    """
    return normalise(read_grey(path), shape=shape)


def read_grey(path: Path) -> Grey:
    """Read a PNG or JPEG with something on it as grey values (height, width), 0…255.

    Raises:
        DataError: no such image, too large, or nothing in it.
    """
    grey = _grey(_opened(path))
    if (contrast := float(np.ptp(grey))) < MIN_CONTRAST:
        raise DataError(
            f"{path}: blank, its contrast is {contrast:.0f} of 255; at least {MIN_CONTRAST} needed"
        )
    return grey


def normalise(grey: Grey, *, shape: tuple[int, int]) -> Images:
    """One grey image (height, width) 0…255 with some contrast, in MNIST's form; see `read_digit`.

    The border is taken for the background: where it is the lighter part, the image is inverted.
    """
    ink = _ink(grey)
    rows, columns = np.flatnonzero(ink.any(axis=1)), np.flatnonzero(ink.any(axis=0))
    cropped = ink[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    return _centred(_scaled(cropped, shape), shape)


def _opened(path: Path) -> Image.Image:
    try:
        if path.stat().st_size == 0:
            raise DataError(f"{path}: 0 bytes long; a PNG or JPEG is allowed")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            image = Image.open(path, formats=FORMATS)
        with image:
            _check_size(path, image)
            image.load()
            return ImageOps.exif_transpose(image)
    except FileNotFoundError:
        raise DataError(f"{path}: not found") from None
    except Image.DecompressionBombError:
        raise DataError(
            f"{path}: far over the {MAX_MEGAPIXELS} megapixels that are allowed; scale it down"
        ) from None
    except UnidentifiedImageError:
        raise DataError(f"{path}: neither PNG nor JPEG, whatever its name says") from None
    except (OSError, SyntaxError, ValueError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise DataError(f"{path}: cannot be read as an image: {reason}") from None


def _check_size(path: Path, image: Image.Image) -> None:
    megapixels = image.width * image.height / 1e6
    if megapixels > MAX_MEGAPIXELS:
        raise DataError(
            f"{path}: {megapixels:.0f} megapixels ({image.width}×{image.height}); at most "
            f"{MAX_MEGAPIXELS} are allowed; scale it down"
        )


def _grey(image: Image.Image) -> Grey:
    """Grey values 0…255, (height, width); what is transparent becomes the ink's opposite."""
    if image.mode.startswith("I"):  # 16 bits, which Pillow would clip
        return np.asarray(image, dtype=np.float64) / 257
    if not image.has_transparency_data:
        return np.asarray(image.convert("L"), dtype=np.float64)
    grey, alpha = np.asarray(image.convert("LA"), dtype=np.float64).transpose(2, 0, 1)
    opacity = alpha / 255
    ink = float((grey * opacity).sum() / max(opacity.sum(), 1))
    paper = 255.0 if ink < 128 else 0.0
    return np.asarray(grey * opacity + paper * (1 - opacity))


def _ink(grey: Grey) -> Grey:
    """How much ink lies where, 0…255: distance from the background, faint traces left out."""
    border = np.concatenate([grey[0], grey[-1], grey[:, 0], grey[:, -1]])
    background = float(np.median(border))
    lighter, darker = float(grey.max()) - background, background - float(grey.min())
    ink = np.clip(grey - background if lighter > darker else background - grey, 0, None)
    ink *= 255 / ink.max()
    ink[ink < FAINT * 255] = 0
    return ink


def _scaled(ink: Grey, shape: tuple[int, int]) -> Grey:
    """The ink, its longer side 20/28 of the image's, full black where it is darkest."""
    longest = max(ink.shape)
    height, width = (max(1, round(BOX * min(shape) * side / longest)) for side in ink.shape)
    image: Any = Image.fromarray(ink.astype(np.float32))
    scaled: Grey = np.asarray(
        image.resize((width, height), Image.Resampling.BICUBIC), dtype=np.float64
    )
    return np.asarray(np.clip(scaled * (255 / scaled.max()), 0, 255))


def _centred(digit: Grey, shape: tuple[int, int]) -> Images:
    """The digit in an empty image, its centre of mass on pixel side/2 as far as it fits."""
    canvas = np.zeros(shape, dtype=np.uint8)
    corner = []
    for axis, (side, room) in enumerate(zip(digit.shape, shape, strict=True)):
        weights = digit.sum(axis=1 - axis)
        centre = float(np.arange(side) @ weights / weights.sum())
        corner.append(min(max(round(room / 2 - centre), 0), room - side))
    (top, left), (height, width) = corner, digit.shape
    canvas[top : top + height, left : left + width] = np.rint(digit)
    return canvas
