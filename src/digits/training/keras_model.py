"""Training a Keras model: built, fitted on the devices there are, and written in two formats."""

from functools import partial
from typing import Any

import keras

from digits.toolkit.dataset import Dataset, Probabilities
from digits.toolkit.errors import UsageError
from digits.toolkit.outputs import TrainOutputs
from digits.training import devices, export
from digits.training.batches import batches, in_order
from digits.training.clock import Clock
from digits.training.final_model import check_exportable, for_inference, over_views
from digits.training.fit import fit
from digits.training.recipe import Distribute, FineTuneRecipe, Recipe

# The moving averages of batch normalization cover at most this share of all steps.
AVERAGED_SHARE = 0.1


def train(
    file: Any,
    recipe: Recipe,
    data: Dataset,
    validation: Dataset,
    *,
    classes: int,
    seed: int,
    distribute: Distribute = "none",
    clock: Clock,
) -> tuple[keras.Model, int]:
    """A model that averages its members and test-time views, and the number of all its weights.

    `file` is the model's, or whatever else has such a `build`, and maybe `adapt` or `unfreeze`.
    The same seed, data, recipe, thread count, processor and number of devices give bit-identical
    weights. The clock starts when the model is built. A UsageError if it cannot be exported, or
    cannot have these images.
    """
    if recipe.augment.saturation and data.images.ndim == 3:
        raise UsageError("augment.saturation: the images are grey, and have none; leave it out")
    keras.utils.set_random_seed(seed)
    strategy = devices.strategy(distribute)
    replicas = strategy.num_replicas_in_sync
    train_batches = batches(
        data,
        classes=classes,
        batch_size=recipe.fit.batch_size,
        seed=seed,
        augment=recipe.augment,
        replicas=replicas,
    )
    with strategy.scope():
        keras.config.set_dtype_policy(devices.policy(mixed=recipe.fit.mixed_precision))
        model = file.build(recipe.build, image_shape=data.images.shape[1:], classes=classes)
        keras.config.set_dtype_policy("float32")
    check_exportable(model)
    _shorten_moving_averages(model, steps=recipe.epochs * len(train_batches))
    clock.start()
    if hasattr(file, "adapt"):
        file.adapt(model, data.images)
    optimizer = recipe.optimizer.model_dump(exclude_unset=True)
    fit_for = partial(
        fit,
        model,
        train_batches,
        in_order(validation, classes=classes, replicas=replicas),
        schedule=recipe.schedule.model_dump(),
        label_smoothing=recipe.fit.label_smoothing,
        on_epoch=clock,
    )
    fit_for(epochs=recipe.fit.epochs, optimizer=optimizer)
    if isinstance(recipe, FineTuneRecipe) and (further := recipe.fine_tune):
        file.unfreeze(model, layers=further.layers)
        optimizer |= {"learning_rate": further.learning_rate}
        fit_for(epochs=further.epochs, optimizer=optimizer)
    final = over_views(for_inference(model), by=recipe.test_time_augment)
    return final, int(final.count_params())


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
