"""Augmentation: images moved, mirrored, coloured and cut at random, as a seed alone decides."""

import math
from functools import partial

import tensorflow as tf

from digits.training.recipe import SIDE, AugmentParams
from imageproof.keras import batching

GREY = (0.2989, 0.587, 0.114)  # what red, green and blue weigh: ITU-R BT.601, as torchvision has it


def augmentation(by: AugmentParams) -> batching.Augment | None:
    """How `shuffled` changes images; None if nothing is asked for."""
    return partial(augmented, by=by) if any(by.model_dump().values()) else None


def augmented(
    images: tf.Tensor,
    seed: tf.Tensor,
    *,
    by: AugmentParams,
) -> tf.Tensor:
    """Change each image at random, by at most what `by` says.

    From uint8 (n, height, width) or (n, height, width, 3) to float32 of the same shape and range;
    `seed` int64 (2,). A kind of change that is not asked for draws nothing, so that it leaves the
    others as they are.
    """
    pixels = tf.cast(images, tf.float32)
    is_grey = pixels.shape.rank == 3
    if is_grey:
        pixels = pixels[..., tf.newaxis]
    if by.rotation or by.zoom or by.shear or by.shift:
        pixels = _moved(pixels, seed, by)
    if by.flip:
        is_mirrored = _drawn(pixels, seed, 1) < 0
        pixels = tf.where(is_mirrored, pixels[:, :, ::-1], pixels)
    if by.brightness or by.contrast or by.saturation:
        pixels = _jittered(pixels, seed, by)
    if by.cutout:
        pixels = _cut(pixels, seed, by.cutout)
    return pixels[..., 0] if is_grey else pixels


def _drawn(
    pixels: tf.Tensor,
    seed: tf.Tensor,
    kind: int,
) -> tf.Tensor:
    """A number of -1…1 for each image, float32 (n, 1, 1, 1): other ones for each kind of change."""
    seed_of_kind = tf.random.experimental.stateless_fold_in(seed, kind)
    shape = (tf.shape(pixels)[0], 1, 1, 1)
    return tf.random.stateless_uniform(shape, seed_of_kind, -1.0, 1.0)


def _jittered(
    pixels: tf.Tensor,
    seed: tf.Tensor,
    by: AugmentParams,
) -> tf.Tensor:
    """Brightness, contrast, saturation, each by a factor of 1 ± its amount.

    They are torchvision's: away from black, from the image's mean grey, from each pixel's grey.
    """
    brightness = 1 + _drawn(pixels, seed, 2) * by.brightness
    contrast = 1 + _drawn(pixels, seed, 3) * by.contrast
    saturation = 1 + _drawn(pixels, seed, 4) * by.saturation
    pixels *= brightness
    greys = pixels
    if pixels.shape[-1] == 3:
        greys = tf.tensordot(pixels, GREY, 1)[..., tf.newaxis]
    mean = tf.reduce_mean(greys, axis=(1, 2), keepdims=True)
    pixels = mean + (pixels - mean) * contrast
    greys = mean + (greys - mean) * contrast
    pixels = greys + (pixels - greys) * saturation
    return tf.clip_by_value(pixels, 0.0, 255.0)


def _cut(
    pixels: tf.Tensor,
    seed: tf.Tensor,
    share: float,
) -> tf.Tensor:
    """Blacken a rectangle of this share of each side, centred anywhere, so partly outside maybe.

    DeVries and Taylor, «Improved Regularization of Convolutional Neural Networks with Cutout»,
    2017.
    """
    height, width = pixels.shape[1:3]
    rows = tf.linspace(-1.0, 1.0, height)[:, tf.newaxis, tf.newaxis]
    columns = tf.linspace(-1.0, 1.0, width)[:, tf.newaxis]
    is_inside = abs(rows - _drawn(pixels, seed, 5)) < share
    is_inside &= abs(columns - _drawn(pixels, seed, 6)) < share
    return tf.where(is_inside, 0.0, pixels)


def _moved(
    pixels: tf.Tensor,
    seed: tf.Tensor,
    by: AugmentParams,
) -> tf.Tensor:
    """Rotate, zoom, shear and shift each image about its centre; its border's colour comes in."""
    fill = _border_colour(pixels)
    drawn = tf.random.stateless_uniform((6, tf.shape(pixels)[0]), seed, -1.0, 1.0)
    height, width = pixels.shape[1:3]
    moved = tf.raw_ops.ImageProjectiveTransformV3(
        images=pixels - fill,
        transforms=_transforms(drawn, by, height=height, width=width),
        output_shape=(height, width),
        fill_value=0.0,
        interpolation="BILINEAR",
        fill_mode="CONSTANT",
    )
    return moved + fill


def _border_colour(pixels: tf.Tensor) -> tf.Tensor:
    """The median of the pixels at the edges of each image in each channel, (n, 1, 1, channels)."""
    sides = (pixels[:, 0], pixels[:, -1], pixels[:, :, 0], pixels[:, :, -1])
    border = tf.sort(tf.concat(sides, axis=1), axis=1)
    return border[:, border.shape[1] // 2, tf.newaxis, tf.newaxis]


def _transforms(
    drawn: tf.Tensor,
    by: AugmentParams,
    *,
    height: int,
    width: int,
) -> tf.Tensor:
    """float32 (n, 8): matrices from output to input pixels; `drawn` are (6, n) numbers of -1…1."""
    xx, xy, yx, yy = _rotation_shear_zoom(drawn, by)
    x = (width - 1) / 2
    y = (height - 1) / 2
    shift_x = drawn[4] * (by.shift * (width / SIDE))
    shift_y = drawn[5] * (by.shift * (height / SIDE))
    to_x = x - xx * x - xy * y + shift_x
    to_y = y - yx * x - yy * y + shift_y
    zero = tf.zeros_like(xx)
    return tf.stack([xx, xy, to_x, yx, yy, to_y, zero, zero], axis=1)


def _rotation_shear_zoom(drawn: tf.Tensor, by: AugmentParams) -> tuple[tf.Tensor, ...]:
    """The matrices of rotation · shear · zoom, row by row: four numbers for each image."""
    angle = drawn[0] * math.radians(by.rotation)
    shear = drawn[1] * by.shear
    zoom_x = 1 + drawn[2] * by.zoom
    zoom_y = 1 + drawn[3] * by.zoom
    cos = tf.cos(angle)
    sin = tf.sin(angle)
    return cos * zoom_x, (shear * cos - sin) * zoom_y, sin * zoom_x, (shear * sin + cos) * zoom_y
