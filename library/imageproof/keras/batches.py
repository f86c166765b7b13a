"""Batches of a training, in each epoch's order of the rows, and of its validation."""

from collections.abc import Callable
from functools import partial

import tensorflow as tf

from imageproof.base.dataset import Dataset, Images, Rows

IN_MEMORY = 128 << 20  # bytes; more images stay where they are, and each batch is read from there
VALIDATION_BATCH = 1000

# From images uint8 (b, …) and a seed int64 (2,) to other images float32 (b, …).
Augment = Callable[[tf.Tensor, tf.Tensor], tf.Tensor]

# Autograph would parse the functions for conditions on tensors, of which there are none: 0.2 s.
without_autograph = tf.autograph.experimental.do_not_convert


def batches(
    data: Dataset,
    *,
    classes: int,
    batch_size: int,
    seed: int,
    augment: Augment | None = None,
    replicas: int = 1,
    skip: int = 0,
) -> tf.data.Dataset:
    """One epoch of batches: (images (b, …), one-hot labels float32 (b, classes)).

    Every iteration over the result yields the next epoch: every row once, in a new order and
    augmented anew, both determined by the seed and the number of the iteration alone. Images stay
    uint8, or become float32 where they are augmented. The last batch may be smaller; with several
    `replicas` it is left out, and all others are a multiple of them, as Keras needs. The first
    `skip` iterations are left out.
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
            if augment:
                batch_images = augment(batch_images, seeds + step)
            return batch_images, tf.one_hot(tf.gather(labels, rows), classes)

        return tf.data.Dataset.range(steps).map(without_autograph(batch))

    epochs = tf.data.Dataset.random(seed=seed, rerandomize_each_iteration=True).take(1)
    for _ in range(skip):
        next(iter(epochs))
    options = tf.data.Options()
    options.autotune.enabled = False  # it takes time from the cores that train
    options.experimental_optimization.inject_prefetch = False
    return (
        epochs.flat_map(without_autograph(epoch))
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

    return tf.data.Dataset.range(0, count, size).map(without_autograph(batch)).prefetch(1)


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
