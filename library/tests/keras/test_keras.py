"""Optimizers of one operation per weight and fused normalization beside Keras's own; its seed."""

import random
import threading

import numpy as np
import pytest

from imageproof.keras import framework

pytestmark = pytest.mark.usefixtures("tensorflow")


@pytest.mark.parametrize(
    ("name", "config"),
    [
        ("rmsprop", {"learning_rate": 0.01, "momentum": 0.9, "rho": 0.8, "epsilon": 1e-3}),
        ("rmsprop", {"learning_rate": 0.01, "centered": True}),
        ("adadelta", {"learning_rate": 0.5, "rho": 0.8, "epsilon": 1e-3, "weight_decay": 0.1}),
    ],
)
def test_optimizer_is_that_of_keras(name, config):
    import keras

    from imageproof.keras.optimizers import ON_ONE_DEVICE

    rng = np.random.default_rng(0)
    starts, *gradients = rng.normal(size=(21, 2, 5, 3)).astype("float32")

    def trained(kind):
        variables = [keras.Variable(start) for start in starts]
        optimizer = kind.from_config(config)
        for step in gradients:
            optimizer.apply([*step], variables)
        return np.array(variables)

    theirs = trained(keras.optimizers.get(name))
    np.testing.assert_allclose(trained(ON_ONE_DEVICE[name]), theirs, rtol=2e-5, atol=1e-6)
    assert not np.allclose(theirs, starts, atol=1e-3)


def test_fused_normalization_trains_as_keras_does():
    import keras

    from imageproof.keras._normalization import FusedBatchNormalization

    images = np.random.default_rng(0).normal(3, 2, (64, 5, 5, 4)).astype(np.float32)
    fused = FusedBatchNormalization(momentum=0.9)
    unfused = keras.layers.BatchNormalization(momentum=0.9)
    np.testing.assert_allclose(
        fused(images, training=True), unfused(images, training=True), atol=1e-4
    )
    # its variance is the sample's, n / (n - 1) of the one that Keras remembers
    np.testing.assert_allclose(fused(images), unfused(images), rtol=1e-3)


def network_of(seed, draw=lambda: None):
    """The weights of a network, and what it answers in training; `draw` is called in between."""
    import keras

    framework.set_seed(seed)
    draw()
    layers = keras.layers
    network = keras.Sequential([keras.Input((8,)), layers.Dense(8), layers.Dropout(0.5)])
    answers = network(np.ones((4, 8), np.float32), training=True)
    drawn = keras.random.normal((4,))
    return [*network.get_weights(), np.asarray(answers), np.asarray(drawn)]


def test_other_threads_change_no_weights():
    def draw():
        thread = threading.Thread(target=random.random)
        thread.start()
        thread.join()

    for expected, weights in zip(network_of(1), network_of(1, draw), strict=True):
        np.testing.assert_array_equal(weights, expected)


def test_another_seed_gives_other_weights():
    pairs = zip(network_of(1), network_of(2), strict=True)
    assert [(first != second).any() for first, second in pairs] == [
        True,
        False,
        True,
        True,
    ]  # a bias
