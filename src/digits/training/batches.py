"""The batches of a training: every row once per epoch, in an order of its own each time."""

import tensorflow as tf

from digits.core.dataset import Dataset
from digits.training.augmentation import augment
from digits.training.recipe import AugmentParams

PREFETCH = 4


def batches(
    data: Dataset, *, classes: int, batch_size: int, seed: int, by: AugmentParams
) -> tf.data.Dataset:
    """One epoch of batches, as (images (b, height, width), labels float32 (b, classes), one-hot).

    Each iteration over the result gives the next epoch: which rows stand together, and how they
    are moved, follows from the seed and the number of the iteration alone. Keras's own shuffle
    repeats the same order in every epoch once the seed is set.

    Images are uint8 as they are, or float32 where they are moved. Rows are gathered by
    shuffled index in TensorFlow's graph; the last batch may be smaller.
    """
    steps = -(-len(data) // batch_size)
    images, labels = tf.constant(data.images), tf.constant(data.labels)
    # a size that all batches share is known to the graph, which is 5 % faster then
    size = batch_size if len(data) % batch_size == 0 else None

    def epoch(number: tf.Tensor) -> tf.data.Dataset:
        seeds = tf.stack([tf.constant(seed, tf.int64), number])
        order = tf.random.experimental.stateless_shuffle(tf.range(len(data)), seeds)

        def batch(step: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            rows = order[step * batch_size : (step + 1) * batch_size]
            rows.set_shape([size])
            shown = tf.gather(images, rows)
            if any(by.model_dump().values()):
                shown = augment(shown, seeds + step, by=by)
            return shown, tf.one_hot(tf.gather(labels, rows), classes)

        return tf.data.Dataset.range(steps).map(batch)

    epochs = tf.data.Dataset.random(seed=seed, rerandomize_each_iteration=True).take(1)
    options = tf.data.Options()
    options.autotune.enabled = False  # it takes time from the two cores that train
    options.experimental_optimization.inject_prefetch = False
    return (
        epochs.flat_map(epoch)
        .apply(tf.data.experimental.assert_cardinality(steps))
        .prefetch(PREFETCH)
        .with_options(options)
    )
