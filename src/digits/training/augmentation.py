"""Training images moved at random: one affine transform of each, a whole batch in one operation."""

import math

import tensorflow as tf

from digits.training.recipe import SIDE, AugmentParams


def augment(images: tf.Tensor, seed: tf.Tensor, *, by: AugmentParams) -> tf.Tensor:
    """Rotate, zoom, shear and shift each image about its centre by amounts of its own.

    Args:
        images: uint8 (n, height, width).
        seed: int64 (2,); the same seed moves the images in the same way.

    Returns:
        float32 (n, height, width) of 0…255, bilinear; what lay outside is 0.
    """
    height, width = images.shape[1:]
    moved = tf.raw_ops.ImageProjectiveTransformV3(
        images=tf.cast(images, tf.float32)[..., tf.newaxis],
        transforms=_transforms(tf.shape(images)[0], seed, by, height=height, width=width),
        output_shape=(height, width),
        fill_value=0.0,
        interpolation="BILINEAR",
        fill_mode="CONSTANT",
    )
    return moved[..., 0]


def _transforms(
    n: tf.Tensor, seed: tf.Tensor, by: AugmentParams, *, height: int, width: int
) -> tf.Tensor:
    """float32 (n, 8): the first eight entries of the matrix from output to input pixels.

    It is rotation · shear · zoom about the centre, then the shift.
    """
    x, y = (width - 1) / 2, (height - 1) / 2
    drawn = tf.random.stateless_uniform((6, n), seed, -1.0, 1.0)
    angle, shear = drawn[0] * math.radians(by.rotation), drawn[1] * by.shear
    zoom_x, zoom_y = 1 + drawn[2] * by.zoom, 1 + drawn[3] * by.zoom
    shift_x = drawn[4] * (by.shift * (width / SIDE))
    shift_y = drawn[5] * (by.shift * (height / SIDE))
    cos, sin = tf.cos(angle), tf.sin(angle)
    xx, xy = cos * zoom_x, (shear * cos - sin) * zoom_y
    yx, yy = sin * zoom_x, (shear * sin + cos) * zoom_y
    zero = tf.zeros_like(angle)
    return tf.stack(
        [
            *(xx, xy, x - xx * x - xy * y + shift_x),
            *(yx, yy, y - yx * x - yy * y + shift_y),
            *(zero, zero),
        ],
        axis=1,
    )
