"""Batches: each epoch's order of the rows, and the random moves of augmentation."""

import math
from collections.abc import Callable
from functools import partial

import tensorflow as tf

from digits.toolkit.dataset import Dataset, Images, Rows
from digits.training.recipe import SIDE, AugmentParams

IN_MEMORY = 512 << 20  # bytes; more images stay where they are, and each batch is read from there
VALIDATION_BATCH = 1000


def batches(
    data: Dataset,
    *,
    classes: int,
    batch_size: int,
    seed: int,
    augment: AugmentParams,
    replicas: int = 1,
) -> tf.data.Dataset:
    """One epoch of batches: (images (b, …), one-hot labels float32 (b, classes)).

    Every iteration over the result yields the next epoch: every row once, in a new order and
    moved anew, both determined by the seed and the number of the iteration alone. Images stay
    uint8, or become float32 where they are augmented. The last batch may be smaller; with several
    `replicas` it is left out, and all others are a multiple of them, as Keras needs.
    """
    steps = -(-len(data) // batch_size)
    if replicas > 1:
        batch_size = min(batch_size, len(data)) // replicas * replicas
        steps = len(data) // batch_size
    images, labels = _reader(data.images), tf.constant(data.labels)
    # a batch size known to the graph makes it 5 % faster
    size = batch_size if replicas > 1 or len(data) % batch_size == 0 else None

    def epoch(number: tf.Tensor) -> tf.data.Dataset:
        seeds = tf.stack([tf.constant(seed, tf.int64), number])
        order = tf.random.experimental.stateless_shuffle(tf.range(len(data)), seeds)

        def batch(step: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            rows = order[step * batch_size : (step + 1) * batch_size]
            rows.set_shape([size])
            batch_images = images(rows)
            if any(augment.model_dump().values()):
                batch_images = moved(batch_images, seeds + step, by=augment)
            return batch_images, tf.one_hot(tf.gather(labels, rows), classes)

        return tf.data.Dataset.range(steps).map(batch)

    epochs = tf.data.Dataset.random(seed=seed, rerandomize_each_iteration=True).take(1)
    options = tf.data.Options()
    options.autotune.enabled = False  # it takes time from the cores that train
    options.experimental_optimization.inject_prefetch = False
    return (
        epochs.flat_map(epoch)
        .apply(tf.data.experimental.assert_cardinality(steps))
        .prefetch(4)
        .with_options(options)
    )


def in_order(data: Dataset, *, classes: int, replicas: int = 1) -> tf.data.Dataset:
    """Batches of all rows in their order, as `batches` gives them; they never change.

    With several `replicas` each batch is a multiple of them, and the rows left over are left out.
    """
    size, count = VALIDATION_BATCH // replicas * replicas, len(data) // replicas * replicas
    images, labels = _reader(data.images), tf.constant(data.labels)

    def batch(start: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        rows = tf.range(start, tf.minimum(start + size, count))
        return images(rows), tf.one_hot(tf.gather(labels, rows), classes)

    return tf.data.Dataset.range(0, count, size).map(batch).prefetch(1)


def _reader(images: Images) -> Callable[[tf.Tensor], tf.Tensor]:
    """A function from row numbers (b,) to images uint8 (b, …), which are in memory if they fit."""
    if images.nbytes <= IN_MEMORY:
        return partial(tf.gather, tf.constant(images))

    def take(rows: Rows) -> Images:
        return images[rows]

    def read(rows: tf.Tensor) -> tf.Tensor:
        taken = tf.numpy_function(take, [rows], tf.uint8, stateful=False)
        return tf.ensure_shape(taken, [rows.shape[0], *images.shape[1:]])

    return read


def moved(images: tf.Tensor, seed: tf.Tensor, *, by: AugmentParams) -> tf.Tensor:
    """Rotate, zoom, shear and shift each image about its centre by random amounts.

    From uint8 (n, height, width) or (n, height, width, 3) to float32 of the same shape and range;
    `seed` int64 (2,).
    """
    height, width, *channels = images.shape[1:]
    pixels = tf.cast(images, tf.float32)
    transformed = tf.raw_ops.ImageProjectiveTransformV3(
        images=pixels if channels else pixels[..., tf.newaxis],
        transforms=_transforms(tf.shape(images)[0], seed, by, height=height, width=width),
        output_shape=(height, width),
        fill_value=0.0,
        interpolation="BILINEAR",
        fill_mode="CONSTANT",
    )
    return transformed if channels else transformed[..., 0]


def _transforms(
    n: tf.Tensor, seed: tf.Tensor, by: AugmentParams, *, height: int, width: int
) -> tf.Tensor:
    """float32 (n, 8): matrices from output to input pixels, rotation · shear · zoom, then shift."""
    x, y = (width - 1) / 2, (height - 1) / 2
    drawn = tf.random.stateless_uniform((6, n), seed, -1.0, 1.0)
    angle, shear = drawn[0] * math.radians(by.rotation), drawn[1] * by.shear
    zoom_x, zoom_y = 1 + drawn[2] * by.zoom, 1 + drawn[3] * by.zoom
    shift_x = drawn[4] * (by.shift * (width / SIDE))
    shift_y = drawn[5] * (by.shift * (height / SIDE))
    cos, sin = tf.cos(angle), tf.sin(angle)
    xx, xy = cos * zoom_x, (shear * cos - sin) * zoom_y
    yx, yy = sin * zoom_x, (shear * sin + cos) * zoom_y
    of_x, of_y = (xx, xy, x - xx * x - xy * y + shift_x), (yx, yy, y - yx * x - yy * y + shift_y)
    zero = tf.zeros_like(angle)
    return tf.stack([*of_x, *of_y, zero, zero], axis=1)
