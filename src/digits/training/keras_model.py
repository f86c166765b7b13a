"""Training a Keras model: built, fitted on the devices there are, and written in two formats."""

import math
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any, Literal

import keras
import numpy as np

from digits.training.augmentation import augmentation
from digits.training.fit import compile_model, fit
from digits.training.recipe import Distribute, FineTuneRecipe, Recipe
from imageproof.base.dataset import Dataset, Labels, Probabilities, Shape
from imageproof.base.errors import UsageError
from imageproof.keras import devices, export
from imageproof.keras.batches import batches, in_order
from imageproof.keras.checkpoint import Checkpoint, State
from imageproof.keras.cost import TrainingCost
from imageproof.keras.final_model import check_exportable, for_inference
from imageproof.outputs import Metrics, TrainOutputs

# The moving averages of batch normalization cover at most this share of all steps.
AVERAGED_SHARE = 0.1
# Keras makes two iterators over the batches in each epoch, and uses one.
ITERATIONS = 2


def train(
    file: Any,
    recipe: Recipe,
    data: Dataset,
    validation: Dataset,
    *,
    classes: int,
    seed: int,
    distribute: Distribute = "none",
    cost: TrainingCost,
    checkpoint: Checkpoint | None = None,
) -> tuple[keras.Model, int]:
    """The fitted model, and the number of all its weights.

    `file` is the model's, or whatever else has such a `build`, and maybe `adapt` or `unfreeze`.
    The same seed, data, recipe, thread count, processor and number of devices give bit-identical
    weights, also if it goes on from a checkpoint. Its cost counts from when the model is built. A
    UsageError if it cannot be exported, cannot have these images, or diverges.
    """
    checkpoint = checkpoint or Checkpoint()
    if recipe.augment.saturation and data.images.ndim == 3:
        raise UsageError("augment.saturation: the images are grey, and have none; leave it out")
    weights = class_weights(recipe.fit.class_weights, data.labels, classes=classes)
    keras.utils.set_random_seed(seed)
    strategy = devices.strategy(distribute)
    replicas = strategy.num_replicas_in_sync
    train_batches = batches(
        data,
        classes=classes,
        batch_size=recipe.fit.batch_size,
        seed=seed,
        augment=augmentation(recipe.augment),
        replicas=replicas,
        skip=ITERATIONS * len(checkpoint.state.history),
    )
    with strategy.scope():
        model = _built(file, recipe, data.images.shape[1:], classes=classes)
    check_exportable(model)
    _shorten_moving_averages(model, steps=recipe.epochs * len(train_batches))
    cost.start()
    if hasattr(file, "adapt") and not checkpoint.state.history:
        file.adapt(model, data.images)
    fit_once = partial(
        fit,
        model,
        train_batches,
        in_order(validation, classes=classes, replicas=replicas),
        class_weights=weights,
    )
    _fit_phases(model, file, recipe, fit_once, cost, checkpoint, steps=len(train_batches))
    final = for_inference(model)
    return final, int(final.count_params())


def _built(file: Any, recipe: Recipe, shape: Shape, *, classes: int) -> keras.Model:
    keras.config.set_dtype_policy(devices.policy(mixed=recipe.fit.mixed_precision))
    try:
        return file.build(recipe.build, image_shape=shape, classes=classes)
    except ValueError as error:
        if "output size would be" not in str(error):  # of Keras, where pooling leaves no pixel
            raise
        sides = "×".join(map(str, shape[:2]))
        what = f"data.image.size: images of {sides} are too small for this model"
        raise UsageError(f"{what}; set larger sides, or train another model") from None
    finally:
        keras.config.set_dtype_policy("float32")


def class_weights(
    asked: Literal["balanced"] | Mapping[int, float] | None, labels: Labels, *, classes: int
) -> list[float] | None:
    """The factor of each class's loss; `balanced`: rows / (classes · rows of the class).

    The formula is scikit-learn's. A class without rows weighs 0. A UsageError names an unknown one.
    """
    if asked is None:
        return None
    if asked == "balanced":
        rows = np.bincount(labels, minlength=classes)
        return [float(len(labels) / (classes * n)) if n else 0.0 for n in rows]
    if unknown := [label for label in asked if label >= classes]:
        raise UsageError(f"fit.class_weights: class {unknown[0]} is not one of 0…{classes - 1}")
    return [asked.get(label, 1.0) for label in range(classes)]


def _fit_phases(
    model: keras.Model,
    file: Any,
    recipe: Recipe,
    fit_once: Callable[..., None],
    cost: TrainingCost,
    checkpoint: Checkpoint,
    *,
    steps: int,
) -> None:
    """Fit in one phase or two, from where the checkpoint ended; it is saved after each epoch."""
    reached, best = checkpoint.state, list[np.ndarray]()
    if reached.history:
        cost.resume(reached.history, reached.spent, reached.epoch_s)
        best = checkpoint.restore(model)
    for phase, (epochs, optimizer, layers) in enumerate(_phases(recipe)):
        if layers:
            file.unfreeze(model, layers=layers)
        if phase < reached.phase:
            continue
        since = reached.phase_start if phase == reached.phase else len(cost.history)
        compile_model(
            model,
            steps=epochs * steps,
            optimizer=optimizer,
            schedule=recipe.schedule.config,
            loss=recipe.fit.loss,
            label_smoothing=recipe.fit.label_smoothing,
        )
        if done := len(cost.history) - since:
            checkpoint.restore_optimizer(model)

        def on_epoch(
            metrics: Metrics,
            phase: int = phase,
            since: int = since,
            rate: float = optimizer["learning_rate"],
        ) -> bool:
            nonlocal best
            _check_finite(metrics, epoch=len(cost.history) + 1, rate=rate)
            cost.end_epoch(metrics)
            history = cost.history
            if recipe.fit.keep == "best" and recipe.fit.best_epoch(history) == len(history) - 1:
                best = model.get_weights()
            state = State(
                history=history,
                spent=cost.spent,
                epoch_s=cost.epoch_s,
                phase=phase,
                phase_start=since,
            )
            checkpoint.save(model, state, best)
            cost.report()  # after it is saved: no epoch is reported twice
            return recipe.fit.stops(history, since=since)

        if done < epochs and not recipe.fit.stops(cost.history, since=since):
            fit_once(epochs=epochs, initial_epoch=done, on_epoch=on_epoch)
        if best:
            model.set_weights(best)


def _check_finite(metrics: Metrics, *, epoch: int, rate: float) -> None:
    """Refuse to go on after an epoch whose metrics are infinite or not a number."""
    for name, value in metrics.items():
        if not math.isfinite(value):
            raise UsageError(
                f"epoch {epoch}: {name} is {value}, the training diverged; lower the learning rate "
                f"({rate:g}), or set optimizer.clipnorm"
            )


def _phases(recipe: Recipe) -> Iterator[tuple[int, dict[str, Any], int]]:
    """The epochs of each phase, its optimizer, and how many layers of the backbone it trains."""
    optimizer = recipe.optimizer.model_dump(exclude_unset=True)
    yield recipe.fit.epochs, optimizer, 0
    if isinstance(recipe, FineTuneRecipe) and (further := recipe.fine_tune):
        rate = {"learning_rate": further.learning_rate}
        yield further.epochs, optimizer | rate, further.layers


def write(
    model: keras.Model, outputs: TrainOutputs, validation: Dataset, *, threads: int
) -> tuple[float, Probabilities]:
    """Calibrate it, write it in both formats, prove them equal; its temperature, its answers."""
    calibrated = export.calibrate(model, validation)
    export.write_keras(calibrated.model, outputs.keras)
    export.write_onnx(calibrated.model, outputs.model)
    export.check_equal(outputs.model, calibrated.validation, validation, threads=threads)
    return calibrated.temperature, calibrated.validation


def _shorten_moving_averages(model: keras.Model, *, steps: int) -> None:
    for layer in model.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.momentum = min(layer.momentum, max(0.0, 1 - 1 / (AVERAGED_SHARE * steps)))
