"""The optimizers of one operation per weight, and fused normalization, beside Keras's own."""

import numpy as np
import pytest

pytestmark = pytest.mark.usefixtures("tensorflow")


@pytest.mark.parametrize(
    ("name", "config"),
    [
        ("rmsprop", {"learning_rate": 0.01, "momentum": 0.9, "rho": 0.8, "epsilon": 1e-3}),
        ("rmsprop", {"learning_rate": 0.01, "centered": True}),
        ("rmsprop", {"learning_rate": 0.01, "weight_decay": 0.1, "clipnorm": 0.5}),
        ("rmsprop", {"learning_rate": 0.01, "gradient_accumulation_steps": 4}),
        ("adadelta", {"learning_rate": 0.5, "rho": 0.8, "epsilon": 1e-3, "weight_decay": 0.1}),
    ],
)
def test_optimizer_is_that_of_keras(name, config):
    import keras

    from imageproof.keras.optimizers import ON_ONE_DEVICE

    random = np.random.default_rng(0)
    starts, *gradients = random.normal(size=(21, 2, 5, 3)).astype("float32")

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
    kinds = (FusedBatchNormalization, keras.layers.BatchNormalization)
    layers = [kind(momentum=0.9) for kind in kinds]
    trained = [np.asarray(layer(images, training=True)) for layer in layers]
    served = [np.asarray(layer(images, training=False)) for layer in layers]
    np.testing.assert_allclose(*trained, atol=1e-4)
    # its variance is the sample's, n / (n - 1) of the one that Keras remembers
    np.testing.assert_allclose(*served, rtol=1e-3)
    assert np.abs(trained[0] - served[0]).max() > 0.1
