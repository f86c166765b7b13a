"""What a recipe may ask of a training: schedule, optimizer, weights, loss, stop, what to keep."""

import math
import re

import numpy as np
import pytest
from helpers import finding
from support import REPOSITORY
from test_fit import VALIDATED_ON, fingerprint, fit, recipe, training

from digits.training.recipe import FitParams
from imageproof.base.errors import UsageError

pytestmark = pytest.mark.usefixtures("tensorflow")


def rules(**changes):
    return FitParams(epochs=9, batch_size=9, **changes)


def history(monitor="val_loss"):
    return [{monitor: value} for value in (0.9, 0.5, 0.6, 0.49, 0.49, 0.8)]


@pytest.mark.parametrize(
    ("monitor", "min_delta", "best"),
    [("val_loss", 0.0, 4), ("val_loss", 0.05, 2), ("val_accuracy", 0.0, 1)],
)
def test_best_epoch_gains_more_than_the_minimum(monitor, min_delta, best):
    stopping = {"patience": 9, "monitor": monitor, "min_delta": min_delta}
    kept = rules(early_stopping=stopping, keep="best")
    assert kept.kept_epoch(history(monitor)) == best
    assert rules(early_stopping=stopping).kept_epoch(history(monitor)) == 6


def test_patience_counts_anew_in_a_second_phase():
    stops = rules(early_stopping={"patience": 2}).stops
    assert [stops(history()[:n], since=0) for n in range(7)] == [False] * 6 + [True]
    assert [stops(history()[:n], since=4) for n in (4, 5, 6)] == [False, False, True]
    assert not stops(history(), since=5)  # though the best epoch of all is two before the last
    assert not rules(keep="best").stops(history() * 9, since=0)


def test_the_weights_of_the_best_epoch_are_kept(images_8x8):
    settings = recipe(
        optimizer__learning_rate=0.02,  # so large that the last epochs are not the best ones
        fit__batch_size=20,
        fit__early_stopping={"patience": 4, "monitor": "val_accuracy"},
        fit__keep="best",
        fit__epochs=60,
    )
    kept = fit(images_8x8, recipe=settings)
    accuracies = [epoch["val_accuracy"] for epoch in kept.history]
    best = settings.fit.kept_epoch(kept.history)
    assert len(accuracies) == best + 4 < 60
    assert accuracies[best - 1] == max(accuracies) > accuracies[-1]
    assert fingerprint(kept.model) == kept.prints[best] != kept.prints[len(accuracies)]


@pytest.mark.parametrize(
    ("schedule", "factors"),
    [
        ({"name": "cosine"}, [1, 0.5, 0]),
        ({"name": "cosine", "warmup": 0.5}, [1 / 25, 1, 0]),
    ],
    ids=str,
)
def test_rate_at_start_half_way_and_end(schedule, factors):
    from digits.training.fit import learning_rate

    rate = learning_rate(2.0, steps=100, **recipe(schedule=schedule).schedule.model_dump())
    rates = [float(rate(step)) for step in (0, 50, 100)]
    assert np.array(rates) / 2 == pytest.approx(factors, abs=1e-6)


def test_settings_reach_the_training(images_8x8):
    settings = recipe(
        optimizer={"name": "sgd", "learning_rate": 30.0, "momentum": 0.9},
        schedule={"name": "cosine", "warmup": 0.5},
        fit__epochs=4,
        fit__batch_size=100,
        fit__loss="categorical_focal_crossentropy",
        fit__label_smoothing=0.5,
    )
    trained = fit(images_8x8, recipe=settings)
    optimizer = trained.network.optimizer.get_config()
    assert (optimizer["name"][:3], optimizer["momentum"]) == ("sgd", 0.9)
    assert optimizer["learning_rate"]["config"]["warmup_steps"] == 6
    loss = {"name": "categorical_focal_crossentropy", "label_smoothing": 0.5}
    assert trained.network.loss.get_config().items() >= loss.items()
    # what is reported is plain, whatever the loss
    validation = images_8x8.take(VALIDATED_ON)
    probabilities = trained.model.predict(validation.images, verbose=0)
    loss = -np.log(probabilities[np.arange(len(validation)), validation.labels]).mean()
    assert trained.history[-1]["val_loss"] == pytest.approx(loss, rel=1e-5)
    assert fingerprint(trained.model) == trained.prints[4]
    assert settings.fit.best_epoch(trained.history) < 4  # and the last is kept


def test_seed_weights_and_augmentation_reach_the_batches(images_8x8):
    def batch(**changes):
        return next(iter(training(images_8x8, **changes)._batches(skip=0)))

    images, labels = batch()
    assert images.dtype == "uint8"
    assert (batch(seed=1)[1] != labels).numpy().any()
    weighted = recipe(fit__class_weights={3: 5.0}, augment={"shift": 1.0})
    images, labels, weights = batch(recipe=weighted)
    assert images.dtype == "float32"
    np.testing.assert_array_equal(weights[:, 0], 1 + 4 * labels[:, 3])


def test_balanced_weights_are_those_of_scikit_learn():
    from imageproof.keras.networks import class_weights

    labels = np.array([0] * 6 + [1] * 3 + [2])
    # rows / (classes · rows of the class)
    expected = pytest.approx([10 / 18, 10 / 9, 10 / 3])
    assert class_weights("balanced", labels, classes=3) == expected
    assert class_weights("balanced", labels, classes=4)[3] == 0
    assert class_weights({1: 2.0}, labels, classes=3) == [1, 2, 1]


def test_weight_of_unknown_class_is_refused(images_8x8):
    # a search and DVC's -S give class numbers as text
    settings = recipe(fit__class_weights={"12": 2.0})
    line = finding(UsageError, fit, images_8x8, recipe=settings)
    assert line == "fit.class_weights: class 12 is not one of 0…9"


@pytest.mark.parametrize("weights", ["equal", {1: 0.0}, {1: math.inf}, {1: True}, {True: 2.0}])
def test_other_than_weights_is_refused(weights):
    line = finding(UsageError, recipe, fit__class_weights=weights)
    assert line.startswith("params.yaml train.mlp.fit.class_weights: `balanced`, or a mapping from")


def test_diverging_training_ends_at_once(images_8x8):
    rough = recipe(optimizer__learning_rate=1e20, fit__epochs=9)
    epochs = []
    line = finding(UsageError, fit, images_8x8, recipe=rough, on_epoch=epochs.append)
    assert line.startswith("epoch 1: loss is nan, the training diverged; lower the learning rate")
    assert epochs == []


def test_documented_loss_trains(images_8x8, monkeypatch):
    from digits.training import fit as module

    page = (REPOSITORY / "docs/how-to/maintenance.md").read_text("utf-8")
    code = re.search(r"## Another loss.*?```python\n(.*?)```", page, re.S)
    losses = {**module.LOSSES}
    monkeypatch.setattr(module, "LOSSES", losses)
    exec(code[1], vars(module))  # as if it stood at the end of fit.py
    losses["categorical_crossentropy"] = [*losses.values()][-1]
    trained = fit(images_8x8, recipe=recipe(fit__label_smoothing=0.1))
    assert type(trained.network.loss).__module__ == module.__name__
    assert trained.history[-1]["loss"] < trained.history[0]["loss"]
