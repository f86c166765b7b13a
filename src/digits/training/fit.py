"""Training one Keras model on uint8 images, reproducibly."""

import resource
import time
from collections.abc import Callable
from typing import NamedTuple

import keras
import numpy as np
import psutil

from digits.core.dataset import Dataset
from digits.models import Builder
from digits.models._normalization import FusedBatchNormalization
from digits.training.batches import batches
from digits.training.precision import training_policy
from digits.training.recipe import OptimizerParams, Recipe, ScheduleParams
from digits.training.views import over_views

EpochMetrics = dict[str, float]  # loss, accuracy, val_loss, val_accuracy
OnEpoch = Callable[[int, EpochMetrics], None]
OnBatches = Callable[[float], None]

# Returning to Python after every step costs a small MLP a fifth of its epoch.
STEPS_PER_EXECUTION = 64
CROSS_ENTROPY = "cross_entropy"
VALIDATION_BATCH = 1000
# Averages over batches that end within this share of all steps know nothing of the first ones.
AVERAGED_SHARE = 0.1
# The one-cycle policy starts at this share of the highest learning rate.
WARMUP_START = 1 / 25


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

    A model whose output is (n, members, classes) is an ensemble: each member is fitted to the
    labels, metrics are the members' means, and the model that is returned averages them. So it
    does the views of test-time augmentation, which metrics leave out.

    The same seed, data, recipe, thread count and processor give bit-identical weights.
    `on_epoch(epoch, metrics)` is called after every epoch, counted from 0;
    `on_batches(epochs_done)` every few batches, with the fraction of the epoch that runs.

    Returns:
        The model, as it is saved and served; per epoch `loss accuracy val_loss val_accuracy`,
        the losses as cross-entropy without label smoothing; and `user_s system_s elapsed_s` of
        the fit (seconds, as R's proc.time), `epoch_s` (median seconds per epoch, validation
        included), `samples_per_s` (training images over elapsed_s) and `other_cores` (how many
        cores other processes of this machine kept busy meanwhile, on average).
    """
    keras.utils.set_random_seed(seed)
    shape: tuple[int, int] = data.images.shape[1:]
    with training_policy(mixed=recipe.fit.mixed_precision):
        model = build(image_shape=shape, classes=classes, **recipe.build.model_dump())
    shown = batches(
        data, classes=classes, batch_size=recipe.fit.batch_size, seed=seed, by=recipe.augment
    )
    steps = recipe.fit.epochs * int(shown.cardinality())
    _forget_in_time(model, steps=steps)
    model.compile(
        optimizer=_optimizer(recipe.optimizer, recipe.schedule, steps=steps),
        loss=keras.losses.CategoricalCrossentropy(label_smoothing=recipe.fit.label_smoothing),
        metrics=["accuracy", keras.metrics.CategoricalCrossentropy(name=CROSS_ENTROPY)],
        steps_per_execution=STEPS_PER_EXECUTION,
    )
    clock = Clock(on_epoch=on_epoch, on_batches=on_batches)
    held = keras.utils.to_categorical(validation.labels, classes)
    model.fit(
        shown.map(lambda images, labels: (images, _as_output(model, labels))),
        shuffle=False,  # it is shuffled already
        epochs=recipe.fit.epochs,
        validation_data=(validation.images, _as_output(model, held)),
        validation_batch_size=VALIDATION_BATCH,
        callbacks=[clock],
        verbose=0,
    )
    kept = over_views(_for_inference(model), by=recipe.test_time_augment)
    return Trained(kept, clock.history, clock.timing(images=len(data)))


def _forget_in_time(model: keras.Model, *, steps: int) -> None:
    """Let running means and variances cover the last tenth of the steps at most.

    With few steps they would still hold where they started, and what is served would be worse
    than what was trained.
    """
    for layer in model.layers:
        if isinstance(layer, FusedBatchNormalization):
            layer.momentum = min(layer.momentum, max(0.0, 1 - 1 / (AVERAGED_SHARE * steps)))


def _optimizer(params: OptimizerParams, schedule: ScheduleParams, *, steps: int) -> keras.Optimizer:
    config = params.model_dump(exclude={"name", "learning_rate"}, exclude_unset=True)
    rate = learning_rate(params.learning_rate, schedule, steps=steps)
    optimizer: keras.Optimizer = keras.optimizers.get(params.name).from_config(
        {"learning_rate": rate, **config}
    )
    return optimizer


def learning_rate(
    highest: float, schedule: ScheduleParams, *, steps: int
) -> float | keras.optimizers.schedules.LearningRateSchedule:
    """What a Keras optimizer takes as its learning rate, for a training of so many steps."""
    if schedule.name == "constant":
        return highest
    warmup = round(schedule.warmup * steps)
    if not warmup:
        return keras.optimizers.schedules.CosineDecay(highest, steps)
    return keras.optimizers.schedules.CosineDecay(
        highest * WARMUP_START, steps - warmup, warmup_target=highest, warmup_steps=warmup
    )


def _is_ensemble(model: keras.Model) -> bool:
    return len(model.output_shape) == 3


def _as_output(model: keras.Model, labels: keras.KerasTensor) -> keras.KerasTensor:
    """One-hot labels (n, classes) in the shape of the output: for each member of an ensemble."""
    if not _is_ensemble(model):
        return labels
    return keras.ops.repeat(labels[:, None], model.output_shape[1], axis=1)


def _for_inference(model: keras.Model) -> keras.Model:
    """The same model in float32 and of Keras's own layers, so that it loads and runs anywhere.

    It is not compiled: an optimizer's state would double or treble the file.
    """
    copy = keras.models.clone_model(model, clone_function=_inference_layer)
    copy.set_weights(model.get_weights())
    [taken], [given] = copy.inputs, copy.outputs
    if _is_ensemble(model):
        given = keras.layers.GlobalAveragePooling1D()(given)
    return keras.Model(taken, given)  # anew, for a clone is compiled as its model is


def _inference_layer(layer: keras.Layer) -> keras.Layer:
    fused = isinstance(layer, FusedBatchNormalization)
    kind = keras.layers.BatchNormalization if fused else type(layer)
    return kind.from_config({**layer.get_config(), "dtype": "float32"})


class Clock(keras.callbacks.Callback):  # type: ignore[misc]
    """Passes metrics and progress on while Keras fits, and measures what the fit costs."""

    def __init__(self, *, on_epoch: OnEpoch, on_batches: OnBatches) -> None:
        super().__init__()
        self._on_epoch = on_epoch
        self._on_batches = on_batches
        self._usage = resource.getrusage(resource.RUSAGE_SELF)
        self._busy = _busy_s()
        self._ends = [time.perf_counter()]
        self.history: list[EpochMetrics] = []

    def on_train_batch_end(self, batch: int, logs: EpochMetrics | None = None) -> None:
        # Keras counts the steps of a whole execution, also where the epoch ends before
        self._on_batches(len(self.history) + min(1.0, (batch + 1) / self.params["steps"]))

    def on_epoch_end(self, epoch: int, logs: EpochMetrics | None = None) -> None:
        self._ends.append(time.perf_counter())
        self.history.append(_epoch_metrics(logs or {}))
        self._on_epoch(epoch, self.history[-1])

    def timing(self, *, images: int) -> dict[str, float]:
        """Seconds since the clock was made, and the rate at which it saw `images` per epoch."""
        usage = resource.getrusage(resource.RUSAGE_SELF)
        elapsed = time.perf_counter() - self._ends[0]
        user = usage.ru_utime - self._usage.ru_utime
        system = usage.ru_stime - self._usage.ru_stime
        return {
            "user_s": user,
            "system_s": system,
            "elapsed_s": elapsed,
            "epoch_s": float(np.median(np.diff(self._ends))),
            "samples_per_s": images * len(self.history) / elapsed,
            # the two clocks tick differently, so that an idle machine may give less than none
            "other_cores": max(0.0, (_busy_s() - self._busy - user - system) / elapsed),
        }


def _busy_s() -> float:
    """Seconds of work of all processors of this machine since it started."""
    times = psutil.cpu_times()
    return sum(getattr(times, kind, 0.0) for kind in ("user", "nice", "system", "irq", "softirq"))


def _epoch_metrics(logs: EpochMetrics) -> EpochMetrics:
    """What Keras tells, with the plain cross-entropy as the loss.

    What is minimized has label smoothing in it, and could not be compared between models.
    """
    metrics = {name: float(value) for name, value in logs.items()}
    for prefix in ("", "val_"):
        metrics[f"{prefix}loss"] = metrics.pop(f"{prefix}{CROSS_ENTROPY}")
    return metrics
