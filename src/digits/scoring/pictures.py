"""Image files as a model's input: read, checked and converted to its size and grey values."""

import struct
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from digits.core.dataset import Images, Picture
from digits.core.errors import DataError, one_line
from digits.core.files import require_file

EIGHT_BITS = ("1", "L", "LA", "P", "RGB", "RGBA")  # Pillow's modes that fit into 8 bits
SUFFIXES = (".png", ".jpg", ".jpeg")
MAX_MEGAPIXELS = 25  # what a phone's camera makes; more would only fill memory
LARGE = 1024  # pixels of the longer side; what has twice as many is scaled down
MIN_CONTRAST = 16  # grey levels between paper and ink; less is noise
FAINT = 0.1  # of the darkest ink; fainter values are paper grain and JPEG artefacts
BOX = 20 / 28  # share of the image's side that the digit fills

Grey = NDArray[np.float64]  # (height, width), 0…255

# How a picture became the model's input, as predictions and answers name it.
TREATMENTS = {
    "as is": "grey and of the model's size, so its pixels are the input; MNIST's are light on dark",
    "digit": "cropped to the ink, made light on dark, scaled and centred as in MNIST",
    "plain": "made grey and stretched to the model's size",
}


class Converted(NamedTuple):
    """A picture as a model's input uint8 (height, width), and its key in `TREATMENTS`."""

    image: Images
    treatment: str


class Decoded(NamedTuple):
    """A picture, and its megapixels before it was shrunk."""

    image: Image.Image
    megapixels: float


def is_picture(name: str) -> bool:
    """Whether a file's name is that of a picture."""
    return name.lower().endswith(SUFFIXES)


def read_pictures(
    paths: Sequence[Path], *, shape: tuple[int, int], picture: Picture
) -> list[Converted]:
    """Read PNG or JPEG files as a model's input; see `convert_picture`.

    Raises:
        DataError: one finding per picture that cannot be read or is blank.
    """
    found: list[Converted] = []
    findings: list[str] = []
    for path in paths:
        try:
            found.append(_read(path, shape, picture))
        except DataError as error:
            findings += error.findings
    if findings:
        raise DataError(*findings)
    return found


def convert_picture(image: Image.Image, *, shape: tuple[int, int], picture: Picture) -> Converted:
    """Convert a picture to the pixels (height, width) that a model takes.

    A picture of this size in opaque 8-bit grey, in whatever mode its file stores that, stays as
    it is. Any other is converted as a handwritten `digit` (see `normalise`), or as a `plain`
    picture: made grey and stretched to the size, antialiased, neither cropped nor inverted.

    Raises:
        DataError: a `digit` is blank.
    """
    unchanged = _as_is(image, shape)
    if unchanged is not None:
        return Converted(unchanged, "as is")
    grey = _grey(image)
    if picture == "plain":
        stretched = _resized(grey, shape, Image.Resampling.BILINEAR)
        return Converted(np.rint(stretched).astype(np.uint8), picture)
    return Converted(normalise(grey, shape=shape), picture)


def normalise(grey: Grey, *, shape: tuple[int, int]) -> Images:
    """Convert a grey picture (height, width) 0…255 of a digit to MNIST's form, uint8.

    The result is light on dark. The picture may have any size, and be dark on light or light on
    dark: the border is taken for the background. It is cropped to the ink, scaled to 20/28 of
    the image with its proportions kept, and shifted so that its centre of mass is the image's
    centre (LeCun, Cortes, Burges: «The MNIST database», http://yann.lecun.com/exdb/mnist).

    Raises:
        DataError: the picture is blank.
    """
    if (contrast := float(np.ptp(grey))) < MIN_CONTRAST:
        raise DataError(
            f"blank, its contrast is {contrast:.0f} of 255; at least {MIN_CONTRAST} needed"
        )
    ink = _ink(grey)
    rows, columns = np.flatnonzero(ink.any(axis=1)), np.flatnonzero(ink.any(axis=0))
    cropped = ink[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    return _centred(_scaled(cropped, shape), shape)


def decode_picture(file: IO[bytes], *, most: float = MAX_MEGAPIXELS) -> Decoded:
    """Decode a PNG or JPEG, turn it upright by its EXIF orientation, and shrink a large one.

    Its size is checked before its pixels are: `most` are megapixels.

    Raises:
        DataError: it is no such image, or too large.
    """
    try:
        with (
            warnings.catch_warnings(action="ignore"),
            Image.open(file, formats=("PNG", "JPEG")) as image,
        ):
            megapixels = image.width * image.height / 1e6
            if megapixels > most:
                raise DataError(
                    f"{megapixels:.3g} megapixels ({image.width}×{image.height}); at most "
                    f"{most:.3g} are allowed; scale it down"
                )
            return Decoded(ImageOps.exif_transpose(_shrunk(image)), megapixels)
    except Image.DecompressionBombError:
        raise DataError(f"far over {most:.3g} megapixels; at most that is allowed") from None
    except UnidentifiedImageError:
        raise DataError("neither PNG nor JPEG, whatever its name says") from None
    except (OSError, SyntaxError, ValueError, struct.error) as error:
        reason = one_line(error) or type(error).__name__
        raise DataError(f"cannot be read as an image: {reason}") from None


def _read(path: Path, shape: tuple[int, int], picture: Picture) -> Converted:
    require_file(path)
    try:
        with path.open("rb") as file:
            return convert_picture(decode_picture(file).image, shape=shape, picture=picture)
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror}") from None
    except DataError as error:
        raise DataError(f"{path}: {error}") from None


def _shrunk(image: Image.Image) -> Image.Image:
    """The decoded picture, its longer side at most LARGE if it was twice that or more.

    What follows takes 40 bytes a pixel, a gigabyte for a phone's photograph.
    """
    if max(image.size) >= 2 * LARGE:
        if image.mode in ("1", "P") or image.mode.startswith("I"):  # these cannot be averaged
            image = image.convert({"1": "L", "P": "RGBA"}.get(image.mode, "I"))
        image.thumbnail((LARGE, LARGE), Image.Resampling.BOX)
    image.load()
    return image


def _as_is(image: Image.Image, shape: tuple[int, int]) -> Images | None:
    """The picture's own pixels uint8 (height, width); None if it needs conversion."""
    if (image.height, image.width) != shape or image.mode not in EIGHT_BITS:
        return None
    *colours, alpha = np.asarray(image.convert("RGBA")).transpose(2, 0, 1)
    grey: Images = colours[0]
    is_grey = all(np.array_equal(colour, grey) for colour in colours)
    return grey if is_grey and alpha.min() == 255 else None


def _resized(grey: Grey, shape: tuple[int, int], resampling: Image.Resampling) -> Grey:
    image: Any = Image.fromarray(grey.astype(np.float32))
    return np.asarray(image.resize(shape[::-1], resampling), np.float64)  # antialiases shrinking


def _grey(image: Image.Image) -> Grey:
    """Grey values 0…255, (height, width); transparent pixels get the opposite of the ink."""
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
    """The amount of ink per pixel, 0…255: its distance from the background, faint values 0."""
    border = np.concatenate([grey[0], grey[-1], grey[:, 0], grey[:, -1]])
    background = float(np.median(border))
    lighter, darker = float(grey.max()) - background, background - float(grey.min())
    ink = np.clip(grey - background if lighter > darker else background - grey, 0, None)
    ink *= 255 / ink.max()
    ink[ink < FAINT * 255] = 0
    return ink


def _scaled(ink: Grey, shape: tuple[int, int]) -> Grey:
    """The ink scaled so that its longer side is 20/28 of the image's, and its maximum 255."""
    longest = max(ink.shape)
    height, width = (max(1, round(BOX * min(shape) * side / longest)) for side in ink.shape)
    scaled = _resized(ink, (height, width), Image.Resampling.BICUBIC)
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
