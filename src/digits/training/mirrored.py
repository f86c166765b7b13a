"""Fit one model on several devices, each with a copy of it and a part of every batch.

Keras's own `fit` cannot: it fails where the parts of a batch differ in size, and where an execution
has several steps; and it weighs the last batch's parts alike, however few rows they have.
"""

import keras
import tensorflow as tf

from digits.core.dataset import Images


def fit(
    model: keras.Model,
    batches: tf.data.Dataset,
    validation: tuple[Images, tf.Tensor],
    *,
    strategy: tf.distribute.Strategy,
    optimizer: keras.Optimizer,
    loss: keras.losses.CategoricalCrossentropy,
    metrics: list[keras.metrics.Metric],
    epochs: int,
    validation_batch: int,
    callback: keras.callbacks.Callback,
) -> None:
    """Fit a model made in the strategy's scope, as were optimizer and metrics.

    Batches and `validation` are of images and one-hot labels, float32 (n, classes), or
    (n, members, classes) for an ensemble.
    The devices share each batch evenly, but for a row. Loss and metrics are means over the rows of
    whole batches, so that the gradients are those of one device. `callback` is told of the ends of
    batches and epochs.
    """

    def train(images: tf.Tensor, labels: tf.Tensor, weights: tf.Tensor) -> None:
        device = tf.distribute.get_replica_context()
        all_rows = device.all_reduce("SUM", tf.reduce_sum(weights))
        with tf.GradientTape() as tape:
            answers = model(images, training=True)
            losses = loss.call(labels, answers)  # of each row, and of each member of an ensemble
            losses = losses if len(losses.shape) == 1 else tf.reduce_mean(losses, axis=1)
            own = tf.reduce_sum(losses * weights) / all_rows
            own += sum(model.losses) / device.num_replicas_in_sync  # of weights, the same on all
        optimizer.apply(tape.gradient(own, model.trainable_variables), model.trainable_variables)
        measure(labels, answers, weights)

    def validate(images: tf.Tensor, labels: tf.Tensor, weights: tf.Tensor) -> None:
        measure(labels, model(images, training=False), weights)

    def measure(labels: tf.Tensor, answers: tf.Tensor, weights: tf.Tensor) -> None:
        for metric in metrics:
            metric.update_state(labels, answers, weights)

    train_step = tf.function(lambda batches: strategy.run(train, args=batches.get_next()))
    validation_step = tf.function(lambda batches: strategy.run(validate, args=batches.get_next()))

    def results(prefix: str = "") -> dict[str, float]:
        found = {f"{prefix}{metric.name}": float(metric.result()) for metric in metrics}
        for metric in metrics:
            metric.reset_state()
        return found

    held_out = tf.data.Dataset.from_tensor_slices(validation).batch(validation_batch)
    shared, shared_validation = (
        strategy.experimental_distribute_dataset(_weighted(each, strategy.num_replicas_in_sync))
        for each in (batches, held_out)
    )
    steps, validation_steps = int(batches.cardinality()), int(held_out.cardinality())
    callback.set_params({"steps": steps})
    with strategy.scope():
        optimizer.build(model.trainable_variables)
    for epoch in range(epochs):
        iterator = iter(shared)
        for step in range(steps):
            train_step(iterator)
            callback.on_train_batch_end(step)
        iter(batches)  # Keras's `fit` takes every second order of the rows, so this does, too
        trained, iterator = results(), iter(shared_validation)
        for _ in range(validation_steps):
            validation_step(iterator)
        callback.on_epoch_end(epoch, trained | results("val_"))


def _weighted(batches: tf.data.Dataset, devices: int) -> tf.data.Dataset:
    """Batches with the weight of each row, float32 (b,), of images, labels and weights.

    A batch of fewer rows than devices goes to each of them, with a weight that makes up for it: on
    no rows at all, TensorFlow's convolutions fail.
    """

    def weighted(*batch: tf.Tensor) -> tuple[tf.Tensor, ...]:
        rows = tf.shape(batch[0])[0]
        times = tf.where(rows < devices, devices, 1)
        weights = tf.fill([rows * times], 1 / tf.cast(times, tf.float32))
        return *(_repeated(each, times) for each in batch), weights

    return batches.map(weighted)


def _repeated(values: tf.Tensor, times: tf.Tensor) -> tf.Tensor:
    multiples = tf.concat([[times], tf.ones(len(values.shape) - 1, tf.int32)], axis=0)
    return tf.ensure_shape(tf.tile(values, multiples), [None, *values.shape[1:]])
