"""Training one Keras model on uint8 images, reproducibly."""

import resource
import time
from collections.abc import Callable
from typing import NamedTuple

import keras
import numpy as np

from digits.data import Dataset
from digits.models import Builder
from digits.recipe import OptimizerParams, Recipe

EpochMetrics = dict[str, float]  # loss, accuracy, val_loss, val_accuracy
OnEpoch = Callable[[int, EpochMetrics], None]
OnBatches = Callable[[float], None]

# Returning to Python after every step costs a small MLP a fifth of its epoch.
STEPS_PER_EXECUTION = 64
VALIDATION_BATCH = 1000


class Trained(NamedTuple):
    """A trained model, its metrics after each epoch, and what the fit cost."""

    model: keras.Model
    history: list[EpochMetrics]
    timing: dict[str, float]

    @property
    def parameters(self) -> int:
        """How many numbers the model holds, trained or not."""
        return int(self.model.count_params())


def train(
    build: Builder,
    data: Dataset,
    validation: Dataset,
    *,
    recipe: Recipe,
    classes: int,
    seed: int,
    on_epoch: OnEpoch,
    on_batches: OnBatches,
) -> Trained:
    """Build the model and fit it.

    The same seed, data, recipe and thread count give bit-identical weights.
    `on_epoch(epoch, metrics)` is called after every epoch, counted from 0;
    `on_batches(epochs_done)` every few batches, with the fraction of the epoch that runs.

    Returns:
        The model; per epoch `loss accuracy val_loss val_accuracy`; and `user_s system_s
        elapsed_s` of the fit (seconds, as R's proc.time), `epoch_s` (median seconds per
        epoch, validation included) and `samples_per_s` (training images over elapsed_s).
    """
    keras.utils.set_random_seed(seed)
    shape: tuple[int, int] = data.images.shape[1:]
    model = build(image_shape=shape, classes=classes, **recipe.build.model_dump())
    model.compile(
        optimizer=_optimizer(recipe.optimizer),
        loss="sparse_categorical_crossentropy",
        metrics=["accuracy"],
        steps_per_execution=STEPS_PER_EXECUTION,
    )
    clock = Clock(on_epoch=on_epoch, on_batches=on_batches)
    # Keras shuffles row numbers and gathers each batch from the uint8 array in the graph.
    model.fit(
        data.images,
        data.labels,
        batch_size=recipe.fit.batch_size,
        epochs=recipe.fit.epochs,
        validation_data=(validation.images, validation.labels),
        validation_batch_size=VALIDATION_BATCH,
        callbacks=[clock],
        verbose=0,
    )
    return Trained(_for_inference(model), clock.history, clock.timing(images=len(data)))


def _optimizer(params: OptimizerParams) -> keras.Optimizer:
    config = params.model_dump(exclude={"name"})
    return keras.optimizers.get({"class_name": params.name, "config": config})


def _for_inference(model: keras.Model) -> keras.Model:
    """The same model without its optimizer, whose state would double or treble the file."""
    copy = type(model).from_config(model.get_config())
    copy.set_weights(model.get_weights())
    return copy


class Clock(keras.callbacks.Callback):  # type: ignore[misc]
    """Passes metrics and progress on while Keras fits, and measures what the fit costs."""

    def __init__(self, *, on_epoch: OnEpoch, on_batches: OnBatches) -> None:
        super().__init__()
        self._on_epoch = on_epoch
        self._on_batches = on_batches
        self._usage = resource.getrusage(resource.RUSAGE_SELF)
        self._ends = [time.perf_counter()]
        self.history: list[EpochMetrics] = []

    def on_train_batch_end(self, batch: int, logs: EpochMetrics | None = None) -> None:
        # Keras counts the steps of a whole execution, also where the epoch ends before
        self._on_batches(len(self.history) + min(1.0, (batch + 1) / self.params["steps"]))

    def on_epoch_end(self, epoch: int, logs: EpochMetrics | None = None) -> None:
        self._ends.append(time.perf_counter())
        self.history.append({name: float(value) for name, value in (logs or {}).items()})
        self._on_epoch(epoch, self.history[-1])

    def timing(self, *, images: int) -> dict[str, float]:
        """Seconds since the clock was made, and the rate at which it saw `images` per epoch."""
        usage = resource.getrusage(resource.RUSAGE_SELF)
        elapsed = time.perf_counter() - self._ends[0]
        return {
            "user_s": usage.ru_utime - self._usage.ru_utime,
            "system_s": usage.ru_stime - self._usage.ru_stime,
            "elapsed_s": elapsed,
            "epoch_s": float(np.median(np.diff(self._ends))),
            "samples_per_s": images * len(self.history) / elapsed,
        }
