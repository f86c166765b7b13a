"""Training a Keras model: built, fitted on the devices there are, and written in two formats."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import keras
import tensorflow as tf

from digits.training.augmentation import augmentation
from digits.training.fit import compile_model, fit, with_class_weights
from digits.training.recipe import Distribute, FineTuneRecipe, Recipe
from imageproof.base import Dataset, Metrics, errors
from imageproof.keras import (
    batching,
    checkpoints,
    costs,
    devices,
    final_model,
    framework,
    networks,
    progress,
)

# The moving averages of batch normalization cover at most this share of all steps.
AVERAGED_SHARE = 0.1
# Keras makes two iterators over the batches in each epoch, and uses one.
ITERATIONS = 2


@dataclass(frozen=True)
class Training:
    """A training of a Keras model.

    `file` is the model's, or whatever else has such a `build`, and maybe `adapt` or `unfreeze`.
    """

    file: Any
    recipe: Recipe
    data: Dataset
    validation: Dataset
    classes: int
    seed: int
    distribute: Distribute = "none"

    def run(
        self, cost: costs.TrainingCost, checkpoint: checkpoints.Checkpoint | None = None
    ) -> keras.Model:
        """The fitted model.

        The same seed, data, recipe, thread count, processor and number of devices give
        bit-identical weights, also if it goes on from a checkpoint. Its cost counts from when the
        model is built. A UsageError if it cannot be exported, cannot have these images, or
        diverges.
        """
        checkpoint = checkpoint or checkpoints.Checkpoint()
        if self.recipe.augment.saturation and self.data.images.ndim == 3:
            raise errors.UsageError(
                "augment.saturation: the images are grey, and have none; leave it out"
            )
        framework.set_seed(self.seed)
        done = len(checkpoint.state.history)
        batches = self._batches(skip=ITERATIONS * done)
        with self._strategy.scope():
            model = self._build()
        final_model.check_exportable(model)
        _shorten_moving_averages(model, steps=self.recipe.epochs * len(batches))

        cost.start()
        if hasattr(self.file, "adapt") and not done:
            self.file.adapt(model, self.data.images)
        fitting = _Fitting(self, model, cost, checkpoint)
        fitting.resume()
        for phase in _phases(self.recipe):
            if phase.layers:
                self.file.unfreeze(model, layers=phase.layers)
            if phase.number >= checkpoint.state.phase:
                fitting.fit(phase, batches)
        return final_model.for_inference(model)

    @property
    def _strategy(self) -> tf.distribute.Strategy:
        return devices.strategy(self.distribute)

    def validation_batches(self) -> tf.data.Dataset:
        """The batches by which each epoch is judged."""
        replicas = self._strategy.num_replicas_in_sync
        return batching.in_order(self.validation, classes=self.classes, replicas=replicas)

    def _batches(self, *, skip: int) -> tf.data.Dataset:
        rules = self.recipe.fit
        weights = networks.class_weights(
            rules.class_weights, self.data.labels, classes=self.classes
        )
        batches = batching.shuffled(
            self.data,
            classes=self.classes,
            batch_size=rules.batch_size,
            order=batching.Order(self.seed, skip),
            augment=augmentation(self.recipe.augment),
            replicas=self._strategy.num_replicas_in_sync,
        )
        return with_class_weights(batches, weights)

    def _build(self) -> keras.Model:
        shape = self.data.images.shape[1:]
        policy = devices.policy(mixed=self.recipe.fit.mixed_precision)
        keras.config.set_dtype_policy(policy)
        try:
            return self.file.build(self.recipe.build, image_shape=shape, classes=self.classes)
        except ValueError as error:
            if "output size would be" not in str(error):  # of Keras, where pooling leaves no pixel
                raise
            sides = "×".join(map(str, shape[:2]))
            raise errors.UsageError(
                f"data.image.size: images of {sides} are too small for this model; set larger "
                "sides, or train another model"
            ) from None
        finally:
            keras.config.set_dtype_policy("float32")


class _Phase(NamedTuple):
    """A fit that compiles the model anew; `layers` of the backbone are trained in it."""

    number: int
    epochs: int
    optimizer: dict[str, Any]
    layers: int = 0


def _phases(recipe: Recipe) -> Iterator[_Phase]:
    optimizer = recipe.optimizer.model_dump(exclude_unset=True)
    yield _Phase(0, recipe.fit.epochs, optimizer)
    if isinstance(recipe, FineTuneRecipe) and (fine_tune := recipe.fine_tune):
        optimizer = optimizer | {"learning_rate": fine_tune.learning_rate}
        yield _Phase(1, fine_tune.epochs, optimizer, fine_tune.layers)


@dataclass
class _Fitting:
    """A model in training; it goes on from the state of a checkpoint, and saves each epoch.

    `best` are the weights of the epoch that is kept.
    """

    training: Training
    model: keras.Model
    cost: costs.TrainingCost
    checkpoint: checkpoints.Checkpoint
    best: checkpoints.Arrays = field(default_factory=list)

    def resume(self) -> None:
        if self.checkpoint.state.history:
            self.cost.resume(self.checkpoint.state)
            self.best = self.checkpoint.restore(self.model)

    def fit(self, phase: _Phase, batches: tf.data.Dataset) -> None:
        """Fit what is left of a phase."""
        recipe = self.training.recipe
        history = self.cost.history
        reached = self.checkpoint.state
        start = reached.phase_start if phase.number == reached.phase else len(history)
        done = len(history) - start
        compile_model(
            self.model,
            steps=phase.epochs * len(batches),
            optimizer=phase.optimizer,
            schedule=recipe.schedule.model_dump(),
            loss=recipe.fit.loss,
            label_smoothing=recipe.fit.label_smoothing,
        )
        if done:
            self.checkpoint.restore_optimizer(self.model)

        def on_epoch(metrics: Metrics) -> bool:
            rate = phase.optimizer["learning_rate"]
            progress.check_finite(metrics, epoch=len(history) + 1, rate=rate)
            self.cost.end_epoch(metrics)
            self._save(phase.number, start)
            self.cost.report()  # after it is saved: no epoch is reported twice
            return recipe.fit.stops(history, since=start)

        if done < phase.epochs and not recipe.fit.stops(history, since=start):
            fit(
                self.model,
                batches,
                self.training.validation_batches(),
                epochs=phase.epochs,
                initial_epoch=done,
                on_epoch=on_epoch,
            )
        if self.best:
            self.model.set_weights(self.best)

    def _save(self, phase: int, start: int) -> None:
        history = self.cost.history
        rules = self.training.recipe.fit
        if rules.keep == "best" and rules.best_epoch(history) == len(history):
            self.best = self.model.get_weights()
        state = checkpoints.State(
            history=history,
            spent=self.cost.spent,
            epoch_s=self.cost.epoch_s,
            phase=phase,
            phase_start=start,
        )
        self.checkpoint.save(self.model, state, self.best)


def _shorten_moving_averages(model: keras.Model, *, steps: int) -> None:
    momentum = max(0.0, 1 - 1 / (AVERAGED_SHARE * steps))
    for layer in model.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.momentum = min(layer.momentum, momentum)
