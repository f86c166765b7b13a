"""Fitting one Keras model; it takes values and imports no other module of ours."""

from collections.abc import Callable, Mapping
from typing import Any

import keras
import tensorflow as tf

EpochMetrics = dict[str, float]  # loss, accuracy, val_loss, val_accuracy

# Returning to Python after every step costs a small MLP a fifth of its epoch.
STEPS_PER_EXECUTION = 64
CROSS_ENTROPY = "cross_entropy"
# The one-cycle policy starts at this share of the highest learning rate.
WARMUP_START = 1 / 25


def fit(
    model: keras.Model,
    batches: tf.data.Dataset,
    validation: tf.data.Dataset,
    *,
    epochs: int,
    optimizer: Mapping[str, Any],
    schedule: Mapping[str, Any],
    label_smoothing: float,
    on_epoch: Callable[[EpochMetrics], None],
) -> None:
    """Compile the model and fit it, on the devices on which it was built.

    `batches` gives the images and one-hot labels of each epoch, `validation` those to judge by.
    `optimizer` is such as {"name": "adam", "learning_rate": 0.001}, `schedule` such as {"name":
    "cosine", "warmup": 0.3}. A model whose output is (n, members, classes) is an ensemble: each
    member is fitted to the labels, and metrics are means over the members.
    """
    strategy = model.distribute_strategy
    replicas = strategy.num_replicas_in_sync
    with strategy.scope():
        config, steps = {**optimizer}, epochs * len(batches)
        kind = keras.optimizers.get(config.pop("name"))
        config["learning_rate"] = learning_rate(config["learning_rate"], **schedule, steps=steps)
        model.compile(
            optimizer=kind.from_config(config),
            loss=keras.losses.CategoricalCrossentropy(label_smoothing=label_smoothing),
            metrics=[
                keras.metrics.CategoricalAccuracy(name="accuracy"),
                keras.metrics.CategoricalCrossentropy(name=CROSS_ENTROPY),
            ],
            # Keras cannot run several steps at once on several devices
            steps_per_execution=STEPS_PER_EXECUTION if replicas == 1 else 1,
        )

    def report(_epoch: int, logs: EpochMetrics) -> None:
        metrics = {name: float(value) for name, value in logs.items()}
        for prefix in ("", "val_"):  # the loss is without smoothing: comparable between models
            metrics[f"{prefix}loss"] = metrics.pop(f"{prefix}{CROSS_ENTROPY}")
        on_epoch(metrics)

    model.fit(
        _for_each_member(model, batches),
        shuffle=False,  # the batches are shuffled already
        epochs=epochs,
        validation_data=_for_each_member(model, validation),
        callbacks=[keras.callbacks.LambdaCallback(on_epoch_end=report)],
        verbose=0,
    )


def learning_rate(
    highest: float, *, name: str, warmup: float, steps: int
) -> float | keras.optimizers.schedules.LearningRateSchedule:
    """The learning rate for a Keras optimizer over `steps` steps: a number or a schedule."""
    if name == "constant":
        return highest
    warmup_steps, decay = round(warmup * steps), keras.optimizers.schedules.CosineDecay
    if not warmup_steps:
        return decay(highest, steps)
    start = highest * WARMUP_START
    return decay(start, steps - warmup_steps, warmup_target=highest, warmup_steps=warmup_steps)


def is_ensemble(model: keras.Model) -> bool:
    """Whether the output is (n, members, classes)."""
    return len(model.output_shape) == 3


def _for_each_member(model: keras.Model, batches: tf.data.Dataset) -> tf.data.Dataset:
    if not is_ensemble(model):
        return batches
    members = model.output_shape[1]
    return batches.map(lambda images, labels: (images, tf.repeat(labels[:, None], members, axis=1)))
