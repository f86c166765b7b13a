"""Fitting one Keras model; it takes values, and of ours imports `optimizers` alone."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import keras
import tensorflow as tf

from imageproof.keras import optimizers

EpochMetrics = dict[str, float]  # loss, accuracy, val_loss, val_accuracy

# Returning to Python after every step costs a small MLP a fifth of its epoch.
STEPS_PER_EXECUTION = 64
CROSS_ENTROPY = "cross_entropy"
LOSSES = {
    "categorical_crossentropy": keras.losses.CategoricalCrossentropy,
    "categorical_focal_crossentropy": keras.losses.CategoricalFocalCrossentropy,
}
# The one-cycle policy starts at this share of the highest learning rate.
WARMUP_START = 1 / 25


def compile_model(
    model: keras.Model,
    *,
    steps: int,
    optimizer: Mapping[str, Any],
    schedule: Mapping[str, Any],
    loss: str,
    label_smoothing: float,
) -> None:
    """Compile the model for a fit of so many steps, on the devices on which it was built.

    `optimizer` is such as {"name": "adam", "learning_rate": 0.001}, `schedule` such as {"name":
    "cosine", "warmup": 0.3}, `loss` one of LOSSES.
    """
    strategy = model.distribute_strategy
    replicas = strategy.num_replicas_in_sync
    with strategy.scope():
        config = {**optimizer}
        name = config.pop("name")
        one_operation: Any = optimizers.ON_ONE_DEVICE.get(name) if replicas == 1 else None
        kind = one_operation or keras.optimizers.get(name)
        config["learning_rate"] = learning_rate(config["learning_rate"], **schedule, steps=steps)
        model.compile(
            optimizer=kind.from_config(config),
            loss=LOSSES[loss](label_smoothing=label_smoothing),
            metrics=[
                keras.metrics.CategoricalAccuracy(name="accuracy"),
                keras.metrics.CategoricalCrossentropy(name=CROSS_ENTROPY),
            ],
            # Keras cannot run several steps at once on several devices
            steps_per_execution=STEPS_PER_EXECUTION if replicas == 1 else 1,
        )
        # else made in the first step, which Keras would then trace twice: half a second
        model.optimizer.build(model.trainable_variables)


def fit(
    model: keras.Model,
    batches: tf.data.Dataset,
    validation: tf.data.Dataset,
    *,
    epochs: int,
    initial_epoch: int = 0,
    on_epoch: Callable[[EpochMetrics], bool],
) -> None:
    """Fit a compiled model, until `on_epoch` returns true.

    `batches` gives the images and one-hot labels of each epoch, `validation` those to judge by.
    """

    def report(_epoch: int, logs: EpochMetrics) -> None:
        metrics = {name: float(value) for name, value in logs.items()}
        # without smoothing, focus and weights: comparable between models
        for prefix in ("", "val_"):
            metrics[f"{prefix}loss"] = metrics.pop(f"{prefix}{CROSS_ENTROPY}")
        model.stop_training = on_epoch(metrics)

    model.fit(
        batches,
        shuffle=False,  # the batches are shuffled already
        epochs=epochs,
        initial_epoch=initial_epoch,
        validation_data=validation,
        callbacks=[keras.callbacks.LambdaCallback(on_epoch_end=report)],
        verbose=0,
    )


def with_class_weights(
    batches: tf.data.Dataset, class_weights: Sequence[float] | None
) -> tf.data.Dataset:
    """The batches with a factor of each image's loss, by its class."""
    if not class_weights:
        return batches
    column = tf.constant(class_weights, tf.float32)[:, tf.newaxis]
    return batches.map(lambda images, labels: (images, labels, labels @ column))


def learning_rate(
    highest: float, *, steps: int, name: str, warmup: float
) -> float | keras.optimizers.schedules.LearningRateSchedule:
    """The learning rate for a Keras optimizer over `steps` steps: a number, or Keras's schedule.

    `warmup` is a share of the steps.
    """
    if name == "constant":
        return highest
    # few steps may all be rounded to warm-up: one is left to fall in
    warmup_steps = min(round(warmup * steps), steps - 1)
    return keras.optimizers.schedules.CosineDecay(
        highest * WARMUP_START,
        steps - warmup_steps,
        warmup_target=highest,
        warmup_steps=warmup_steps,
    )
