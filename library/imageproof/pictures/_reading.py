"""Image files as a model's input: read, checked and converted to its size and channels.

The same picture gives the same input in training, `predict`, `score`, demo, service and package;
docs/how-to/serving.md has the rules.
"""

import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from io import BytesIO
from os import SEEK_END
from pathlib import Path
from typing import IO, NamedTuple

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError
from PIL.ExifTags import Base
from PIL.ImageFile import ImageFile

from imageproof.base._dataset import Fit, Images, Shape, fingerprints
from imageproof.base.errors import DataError
from imageproof.base.text import one_line
from imageproof.pictures import _digit, _jpeg
from imageproof.pictures._conversion import (
    Converted,
    convert_picture,
    eight_bits,
    is_grey,
    is_transparent,
)

FORMATS = ("PNG", "JPEG", "WEBP", "BMP")  # Pillow's names
SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".bmp")
MAX_PIXELS = 26_000_000  # decoded; a phone of 50 megapixels writes JPEGs of twice as many
MAX_SIDE = 65_535  # as in JPEG; Pillow needs memory for each row, however short it is
TOO_LARGE = (
    f"over {MAX_PIXELS:,} pixels ({2 * MAX_PIXELS:,} as JPEG), or a side over {MAX_SIDE:,}; "
    "scale it down"
)
# Between grey values of PNGs of 2 and 4 bits; Pillow scales all but the transparent one
GREY_STEPS = {"L;2": 85, "L;4": 17}
ANIMATED = ("PNG", "WEBP")  # formats of which an animation is refused
TAIL = 1 << 16  # bytes of a PNG that may hold its EXIF behind the pixels
SIDEWAYS = (5, 6, 7, 8)  # EXIF orientations that swap height and width


class Header(NamedTuple):
    """What a picture's header says; height and width are upright."""

    height: int
    width: int
    mode: str  # grey or colour
    transparent: bool


def is_picture(name: str) -> bool:
    return name.lower().endswith(SUFFIXES)


def read_pictures(
    paths: Sequence[Path],
    *,
    shape: Shape,
    fit: Fit,
) -> list[Converted]:
    """Read image files as a model's input; DataError with a finding per bad picture."""
    pictures = list[Converted]()
    findings = list[str]()
    for path in paths:
        try:
            pictures.append(read_picture(path, shape=shape, fit=fit))
        except DataError as error:
            findings.append(f"{path}: {error}")
    if findings:
        raise DataError(*findings)
    return pictures


def probe(file: IO[bytes] | Path) -> Header:
    """Read a picture's header; its pixels only if they may be transparent, as in screenshots.

    RGB and CMYK are colour, and so is a palette with any; DataError as `read_picture`.
    """
    with _opened(file) as image:
        mode = "colour" if _has_colour(image) else "grey"
        is_late = image.format == "PNG" and "exif" not in image.info
        if is_late and b"eXIf" in _content(image, last=TAIL):
            image.load()  # what stands behind the pixels comes with them
        # PNG's own `getexif` always decodes them
        orientation = Image.Image.getexif(image).get(Base.Orientation)
        sides = image.size if orientation in SIDEWAYS else image.size[::-1]
        transparent = image.has_transparency_data and is_transparent(eight_bits(image))
        return Header(*sides, mode, transparent)


def read_picture(
    file: IO[bytes] | Path,
    *,
    shape: Shape,
    fit: Fit,
) -> Converted:
    """Read a picture as a model's input, see `convert_picture`.

    DataError if it is damaged, animated, too large, or none of `FORMATS`.
    """
    image = _decoded(file, _digit.LARGE if fit == "digit" else 2 * max(shape))
    return convert_picture(image, shape=shape, fit=fit)


def read_and_hash(
    file: Path,
    *,
    shape: Shape,
    fit: Fit,
) -> tuple[Images, bytes]:
    """The pixels of `read_picture`, and the fingerprint of the whole picture at its own size.

    The fingerprint depends neither on the file's format and metadata nor on `shape` and `fit`.
    """
    image = _decoded(file)
    [fingerprint] = fingerprints(_plainest(image)[np.newaxis])
    if image.format in _jpeg.FORMATS:  # its pixels are those of a smaller decoding
        converted, _ = read_picture(file, shape=shape, fit=fit)
    else:
        converted, _ = convert_picture(image, shape=shape, fit=fit)
    return converted, fingerprint


def _plainest(image: Image.Image) -> Images:
    """The pixels in as many channels as they need: WebP, say, has three where PNG has one.

    The colour of a pixel that cannot be seen is black.
    """
    image = eight_bits(image)
    pixels = np.asarray(image)
    if image.mode in ("LA", "RGBA"):
        pixels = pixels * (pixels[..., -1:] > 0)
        if pixels[..., -1].min() == 255:
            pixels = pixels[..., :-1]
    if pixels.shape[2:] > (2,) and is_grey(pixels):
        pixels = pixels[..., ::3]  # one of the colours, and opacity
    return pixels


@contextmanager
def _opened(file: IO[bytes] | Path) -> Iterator[ImageFile]:
    """A picture of which only the header is read; what goes wrong within is a DataError."""
    if isinstance(file, Path) and file.exists() and not file.is_file():
        raise DataError("is a folder, a pipe or a device; a picture is allowed")  # may never end
    try:
        with warnings.catch_warnings(action="ignore"), Image.open(file, formats=FORMATS) as image:
            if getattr(image, "is_animated", False) and image.format in ANIMATED:
                raise DataError("is animated; one picture in a file is allowed")
            limit = 2 * MAX_PIXELS if image.format in _jpeg.FORMATS else MAX_PIXELS
            if image.width * image.height > limit or max(image.size) > MAX_SIDE:
                raise DataError(TOO_LARGE)
            for tile in image.tile if "transparency" in image.info else ():
                if tile.args == "RGB;16B":  # of which Pillow reads 8, and compares them with all 16
                    raise DataError("has 16 bits and a transparent colour; save it with 8 bits")
                image.info["transparency"] *= GREY_STEPS.get(str(tile.args), 1)
            yield image
    except DataError:
        raise
    except UnidentifiedImageError:
        raise DataError(
            "no PNG, JPEG, WebP or BMP, whatever its name says; save it as PNG"
        ) from None
    except Exception as error:  # Pillow raises many kinds on damaged files
        reason = one_line(error) or type(error).__name__
        raise DataError(f"cannot be read as an image: {reason}") from None


def _content(image: ImageFile, *, last: int | None = None) -> bytes:
    """The bytes of a picture's file, or only so many `last` ones.

    Decoding may follow: it seeks its own place in the file.
    """
    file = image.fp
    assert file is not None  # as long as no pixels are read
    size = file.seek(0, SEEK_END)
    file.seek(max(0, size - last) if last else 0)
    return file.read()


def _decoded(file: IO[bytes] | Path, side: int | None = None) -> Image.Image:
    """A picture, upright; its sides may be reduced to `side` or more."""
    with _opened(file) as image:
        content = _content(image) if image.format in _jpeg.FORMATS else b""
        if len(_jpeg.SCAN.findall(content)) > _jpeg.MAX_SCANS:
            raise DataError(f"over {_jpeg.MAX_SCANS} scans; save it anew")
        _load(image, side)
        if image.format == "PNG":
            with _opened(file) as copy:
                copy.verify()  # its checksums, at which decoding does not look
        if content and _jpeg.may_be_cut_off(image) and _is_cut_off(image, content, side):
            raise DataError("is cut off, and its end is grey or blurred; fetch the file again")
        ImageOps.exif_transpose(image, in_place=True)  # else it is there twice
    return image


def _load(image: Image.Image, side: int | None) -> None:
    """Decode a picture; a JPEG at 1/2, 1/4 or 1/8, which is faster, to sides of `side` or more."""
    if side:
        size = (side, side)
        if image.width * image.height > MAX_PIXELS:  # at most twice as many, by `_opened`
            size = (min(side, image.width // 2), min(side, image.height // 2))
        image.draft(None, size)  # does nothing to other formats
    image.load()


def _is_cut_off(image: Image.Image, content: bytes, side: int | None) -> bool:
    """Whether a JPEG, decoded with this `side`, has fewer pixels than its header says."""
    longer = Image.open(BytesIO(_jpeg.with_more_pixels(content)), formats=FORMATS)
    _load(longer, side)
    return longer.tobytes() != image.tobytes()


def _has_colour(image: ImageFile) -> bool:
    if image.palette:  # not decoded yet
        order, entries = image.palette.getdata()
        colours = np.frombuffer(entries, np.uint8).reshape(-1, len(order))
        return bool(np.ptp(colours[:, :3], axis=1).any())
    return image.mode in ("RGB", "RGBA", "CMYK")
