"""Decoded pictures of any size and kind, converted to a model's input."""

import numpy as np
from PIL import Image, ImageOps

from imageproof.base._dataset import Fit, Images, Shape
from imageproof.pictures import _digit

EIGHT_BITS = ("1", "L", "LA", "P", "PA", "RGB", "RGBA")  # Pillow's modes that fit into 8 bits
WHITE = "white"  # behind transparency

# How a picture became the model's input, as predictions and answers name it.
TREATMENTS = {
    "as is": "has the model's size and channels, so its pixels are the input",
    "digit": "cropped to the ink, made light on dark, scaled and centred by its mass",
    "stretch": "stretched to the model's size",
    "crop": "scaled until it covers the model's size, and cut to the middle",
    "pad": "scaled until it fits into the model's size, with the colour of its border around it",
}

Converted = tuple[Images, str]  # a model's input, uint8 of its shape; its key in TREATMENTS


def convert_picture(
    image: Image.Image,
    *,
    shape: Shape,
    fit: Fit,
) -> Converted:
    """Convert a decoded picture to a model's input.

    `shape` is (height, width) for grey and (height, width, 3) for colour. DataError if a `digit`
    is blank.
    """
    if (pixels := _as_is(image, shape)) is not None:
        return pixels, "as is"
    image = eight_bits(image)
    if fit == "digit":
        grey = _digit.grey_values(image)
        return _digit.normalise(grey, shape=shape), fit
    has_gaps = is_transparent(image)
    if has_gaps:
        white = Image.new("RGBA", image.size, WHITE)
        image = Image.alpha_composite(white, image.convert("RGBA"))
    image = image.convert("L" if len(shape) == 2 else "RGB")
    size = (shape[1], shape[0])
    bilinear = Image.Resampling.BILINEAR
    match fit:
        case "crop":
            image = ImageOps.fit(image, size, bilinear)
        case "pad":
            fill = WHITE if has_gaps else _border_colour(image)
            image = ImageOps.pad(image, size, bilinear, color=fill)
        case "stretch":
            image = image.resize(size, bilinear)
    return np.array(image), fit


def _as_is(image: Image.Image, shape: Shape) -> Images | None:
    """The pixels of a picture that needs no conversion."""
    if image.mode not in EIGHT_BITS or image.size[::-1] != shape[:2]:
        return None
    pixels = np.asarray(image.convert("RGBA"))
    colours = pixels[..., :3]
    if pixels[..., 3].min() < 255 or (len(shape) == 2 and not is_grey(colours)):
        return None
    return np.ascontiguousarray(colours if len(shape) == 3 else colours[..., 0])


def is_transparent(image: Image.Image) -> bool:
    """Whether any pixel of `eight_bits` is: a screenshot may only be able to have such."""
    return image.mode.endswith("A") and image.getchannel("A").getextrema()[0] != 255


def is_grey(colours: Images) -> bool:
    """Whether the first three channels of an image are equal."""
    return all(np.array_equal(colours[..., 0], colours[..., channel]) for channel in (1, 2))


def eight_bits(image: Image.Image) -> Image.Image:
    """A picture as L, LA, RGB or RGBA; Pillow itself would clip 16 bits instead of scaling them."""
    if image.mode.startswith("I"):
        values = np.asarray(image.convert("I"), np.float32)
        grey = Image.fromarray(np.rint(values / 257).astype(np.uint8))
        if image.has_transparency_data:  # one value of PNG stands for transparent pixels
            is_opaque = values != image.info["transparency"]
            grey.putalpha(Image.fromarray(is_opaque))
        return grey
    mode = "L" if image.mode in ("1", "L", "LA") else "RGB"
    mode += "A" * image.has_transparency_data
    return image if image.mode == mode else image.convert(mode)  # which copies


def _border_colour(image: Image.Image) -> tuple[int, ...]:
    """The median of the pixels at the edges, in each channel."""
    pixels = _digit.border(np.asarray(image))
    median = np.median(pixels, axis=0)
    return tuple(np.atleast_1d(median).astype(int).tolist())
