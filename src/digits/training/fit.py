"""Training one Keras model on uint8 images, reproducibly."""

import os
import time
from collections.abc import Callable
from typing import NamedTuple

import keras
import numpy as np
import psutil

from digits.models import Builder
from digits.models._normalization import FusedBatchNormalization
from digits.toolkit.dataset import Dataset
from digits.training import devices
from digits.training.batches import batches
from digits.training.final_model import check_exportable, for_inference, is_ensemble, over_views
from digits.training.recipe import Distribute, OptimizerParams, Recipe, ScheduleParams

EpochMetrics = dict[str, float]  # loss, accuracy, val_loss, val_accuracy
OnEpoch = Callable[[int, EpochMetrics], None]

# Returning to Python after every step costs a small MLP a fifth of its epoch.
STEPS_PER_EXECUTION = 64
CROSS_ENTROPY = "cross_entropy"
VALIDATION_BATCH = 1000
# The moving averages of batch normalization cover at most this share of all steps.
AVERAGED_SHARE = 0.1
# The one-cycle policy starts at this share of the highest learning rate.
WARMUP_START = 1 / 25


class Trained(NamedTuple):
    """A trained model, its metrics after each epoch, and what the fit cost.

    `parameters` counts all weights. `marks` says when `build`, `first epoch` and `further epochs`
    ended, in seconds of `time.perf_counter`.
    """

    model: keras.Model
    history: list[EpochMetrics]
    timing: dict[str, float]
    marks: dict[str, float]
    parameters: int


def train(
    build: Builder,
    data: Dataset,
    validation: Dataset,
    *,
    recipe: Recipe,
    classes: int,
    seed: int,
    threads: int,
    distribute: Distribute = "none",
    on_epoch: OnEpoch,
) -> Trained:
    """Build the model and fit it; the returned one averages its members and test-time views.

    A model whose output is (n, members, classes) is an ensemble: each member is fitted to the
    labels, and metrics are means over the members, without views. The same seed, data, recipe,
    thread count, processor and number of devices give bit-identical weights.

    `on_epoch` counts from 0; TensorFlow has `threads`. A UsageError if it cannot be exported.
    """
    keras.utils.set_random_seed(seed)
    strategy = devices.strategy(distribute)
    replicas = strategy.num_replicas_in_sync
    validation = validation.take(np.arange(len(validation) // replicas * replicas))
    train_batches = batches(
        data,
        classes=classes,
        batch_size=recipe.fit.batch_size,
        seed=seed,
        augment=recipe.augment,
        replicas=replicas,
    )
    steps = recipe.fit.epochs * int(train_batches.cardinality())
    with strategy.scope():
        keras.config.set_dtype_policy(devices.policy(mixed=recipe.fit.mixed_precision))
        model = build(recipe.build, image_shape=data.images.shape[1:], classes=classes)
        keras.config.set_dtype_policy("float32")
        check_exportable(model)
        _shorten_moving_averages(model, steps=steps)
        model.compile(
            optimizer=_optimizer(recipe.optimizer, recipe.schedule, steps=steps),
            loss=keras.losses.CategoricalCrossentropy(label_smoothing=recipe.fit.label_smoothing),
            metrics=[
                keras.metrics.CategoricalAccuracy(name="accuracy"),
                keras.metrics.CategoricalCrossentropy(name=CROSS_ENTROPY),
            ],
            # Keras cannot run several steps at once on several devices
            steps_per_execution=STEPS_PER_EXECUTION if replicas == 1 else 1,
        )
    clock = Clock(on_epoch)
    labels = keras.utils.to_categorical(validation.labels, classes)
    model.fit(
        train_batches.map(lambda images, y: (images, _for_each_member(model, y))),
        shuffle=False,  # the batches are shuffled already
        epochs=recipe.fit.epochs,
        validation_data=(validation.images, _for_each_member(model, labels)),
        validation_batch_size=VALIDATION_BATCH // replicas * replicas,
        callbacks=[clock],
        verbose=0,
    )
    final = over_views(for_inference(model), by=recipe.test_time_augment)
    first, second, *_, last = (*clock.ends, clock.ends[-1])
    marks = {"build": first, "first epoch": second, "further epochs": last}
    timing = clock.timing(images=len(data), threads=threads)
    return Trained(final, clock.history, timing, marks, int(final.count_params()))


def _shorten_moving_averages(model: keras.Model, *, steps: int) -> None:
    for layer in model.layers:
        if isinstance(layer, FusedBatchNormalization):
            layer.momentum = min(layer.momentum, max(0.0, 1 - 1 / (AVERAGED_SHARE * steps)))


def _optimizer(params: OptimizerParams, schedule: ScheduleParams, *, steps: int) -> keras.Optimizer:
    config = params.model_dump(exclude={"name"}, exclude_unset=True)
    rate = learning_rate(params.learning_rate, schedule, steps=steps)
    return keras.optimizers.get(params.name).from_config(config | {"learning_rate": rate})


def learning_rate(
    highest: float, schedule: ScheduleParams, *, steps: int
) -> float | keras.optimizers.schedules.LearningRateSchedule:
    """The learning rate for a Keras optimizer over `steps` steps: a number or a schedule."""
    if schedule.name == "constant":
        return highest
    warmup, decay = round(schedule.warmup * steps), keras.optimizers.schedules.CosineDecay
    if not warmup:
        return decay(highest, steps)
    start = highest * WARMUP_START
    return decay(start, steps - warmup, warmup_target=highest, warmup_steps=warmup)


def _for_each_member(model: keras.Model, labels: keras.KerasTensor) -> keras.KerasTensor:
    repeated = is_ensemble(model)
    return keras.ops.repeat(labels[:, None], model.output_shape[1], axis=1) if repeated else labels


class Clock(keras.callbacks.Callback):  # type: ignore[misc]
    """Passes metrics on after each epoch, and measures what the fit costs."""

    def __init__(self, on_epoch: OnEpoch) -> None:
        super().__init__()
        self._on_epoch, self._start, self.ends = on_epoch, os.times(), [time.perf_counter()]
        self.history: list[EpochMetrics] = []
        psutil.cpu_percent()  # the next call tells the use since this one

    def on_epoch_end(self, epoch: int, logs: EpochMetrics | None = None) -> None:
        self.ends.append(time.perf_counter())
        metrics = {name: float(value) for name, value in (logs or {}).items()}
        for prefix in ("", "val_"):  # the loss is without smoothing: comparable between models
            metrics[f"{prefix}loss"] = metrics.pop(f"{prefix}{CROSS_ENTROPY}")
        self.history.append(metrics)
        self._on_epoch(epoch, metrics)

    def timing(self, *, images: int, threads: int) -> dict[str, float]:
        """What the fit cost; `shared_cores` is the mean number of its cores used by others."""
        now, elapsed, cores = os.times(), time.perf_counter() - self.ends[0], os.cpu_count() or 1
        user, system = now.user - self._start.user, now.system - self._start.system
        other_cores = psutil.cpu_percent() / 100 * cores - (user + system) / elapsed
        return {
            "user_s": user,
            "system_s": system,
            "elapsed_s": elapsed,
            "epoch_s": float(np.median(np.diff(self.ends))),
            "samples_per_s": images * len(self.history) / elapsed,
            "shared_cores": max(0.0, other_cores - max(0, cores - threads)),
        }
