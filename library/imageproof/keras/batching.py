"""Batches of a training, in each epoch's order of the rows, and of its validation."""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import tensorflow as tf

from imageproof.base._dataset import Dataset, Images, Rows

IN_MEMORY = 128 << 20  # bytes; more images stay where they are, and each batch is read from there
VALIDATION_BATCH = 1000

# From images uint8 (b, …) and a seed int64 (2,) to other images float32 (b, …).
Augment = Callable[[tf.Tensor, tf.Tensor], tf.Tensor]
Batch = tuple[tf.Tensor, tf.Tensor]  # images (b, …), one-hot labels float32 (b, classes)

# Autograph would parse the functions for conditions on tensors, of which there are none: 0.2 s.
without_autograph = tf.autograph.experimental.do_not_convert


class Order(NamedTuple):
    """What decides the order of the rows; the first `skip` iterations are left out."""

    seed: int
    skip: int = 0


def shuffled(
    data: Dataset,
    *,
    classes: int,
    batch_size: int,
    order: Order,
    augment: Augment | None = None,
    replicas: int = 1,
) -> tf.data.Dataset:
    """One epoch of batches: (images (b, …), one-hot labels float32 (b, classes)).

    Every iteration over the result yields the next epoch: every row once, in a new order and
    augmented anew, both determined by the seed and the number of the iteration alone. Images stay
    uint8, or become float32 where they are augmented. The last batch may be smaller; with several
    `replicas` it is left out, and all others are a multiple of them, as Keras needs.
    """
    steps = -(-len(data) // batch_size)
    if replicas > 1:
        batch_size = min(batch_size, len(data)) // replicas * replicas
        steps = len(data) // batch_size
    read = _reader(data, classes)
    # a batch size known to the graph makes it 5 % faster
    is_fixed = replicas > 1 or len(data) % batch_size == 0
    size = batch_size if is_fixed else None

    def epoch(number: tf.Tensor) -> tf.data.Dataset:
        seed = tf.constant(order.seed, tf.int64)
        seeds = tf.stack([seed, number])
        all_rows = tf.range(len(data))
        permutation = tf.random.experimental.stateless_shuffle(all_rows, seeds)

        def batch(step: tf.Tensor) -> Batch:
            start = step * batch_size
            rows = permutation[start : start + batch_size]
            rows.set_shape([size])
            images, labels = read(rows)
            if augment:
                images = augment(images, seeds + step)
            return images, labels

        all_steps = tf.data.Dataset.range(steps)
        return all_steps.map(without_autograph(batch))

    numbers = tf.data.Dataset.random(seed=order.seed, rerandomize_each_iteration=True)
    epochs = numbers.take(1)
    for _ in range(order.skip):
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


def in_order(
    data: Dataset,
    *,
    classes: int,
    replicas: int = 1,
) -> tf.data.Dataset:
    """Batches of all rows in their order, as `shuffled` gives them; they never change.

    With several `replicas` each batch is a multiple of them, and the rows left over are left out.
    """
    size = VALIDATION_BATCH // replicas * replicas
    count = len(data) // replicas * replicas
    read = _reader(data, classes)

    def batch(start: tf.Tensor) -> Batch:
        end = tf.minimum(start + size, count)
        return read(tf.range(start, end))

    starts = tf.data.Dataset.range(0, count, size)
    return starts.map(without_autograph(batch)).prefetch(1)


def _reader(data: Dataset, classes: int) -> Callable[[tf.Tensor], Batch]:
    """A function from row numbers (b,) to their images and labels."""
    images = _image_reader(data.images)
    labels = tf.constant(data.labels)

    def read(rows: tf.Tensor) -> Batch:
        numbers = tf.gather(labels, rows)
        return images(rows), tf.one_hot(numbers, classes)

    return read


def _image_reader(images: Images) -> Callable[[tf.Tensor], tf.Tensor]:
    """A function from row numbers (b,) to images uint8 (b, …), which are in memory if they fit."""
    if images.nbytes <= IN_MEMORY:
        return partial(tf.gather, tf.constant(images))
    shape = images.shape[1:]

    def take(rows: Rows) -> Images:
        return images[rows]

    def read(rows: tf.Tensor) -> tf.Tensor:
        content = tf.numpy_function(take, [rows], tf.uint8, stateful=False)
        return tf.ensure_shape(content, [rows.shape[0], *shape])

    return read
