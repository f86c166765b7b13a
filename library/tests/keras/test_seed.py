"""The seed decides the first weights, what is dropped and whatever else Keras draws."""

import random
import threading

import numpy as np
import pytest

from imageproof.keras import framework

pytestmark = pytest.mark.usefixtures("tensorflow")


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
