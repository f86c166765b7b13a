"""The optimizers of one operation per weight, beside Keras's own."""

from typing import Any

import numpy as np
import pytest

pytestmark = pytest.mark.usefixtures("tensorflow")

STEPS, SHAPES = 20, ((5, 3), (3,))


@pytest.mark.parametrize(
    ("name", "config"),
    [
        ("rmsprop", {"learning_rate": 0.01}),
        ("rmsprop", {"learning_rate": 0.01, "momentum": 0.9, "rho": 0.8, "epsilon": 1e-3}),
        ("rmsprop", {"learning_rate": 0.01, "centered": True}),
        ("rmsprop", {"learning_rate": 0.01, "weight_decay": 0.1, "clipnorm": 0.5}),
        ("rmsprop", {"learning_rate": 0.01, "gradient_accumulation_steps": 4}),
        ("adadelta", {"learning_rate": 1.0}),
        ("adadelta", {"learning_rate": 0.5, "rho": 0.8, "epsilon": 1e-3, "weight_decay": 0.1}),
    ],
)
def test_optimizer_is_that_of_keras(name: str, config: dict[str, Any]) -> None:
    import keras

    from imageproof.keras.optimizers import ON_ONE_DEVICE

    random = np.random.default_rng(0)
    starts = [random.normal(size=shape).astype("float32") for shape in SHAPES]
    gradients = [[random.normal(size=shape) for shape in SHAPES] for _ in range(STEPS)]
    found, kinds = [], dict[str, Any](ours=ON_ONE_DEVICE[name], theirs=keras.optimizers.get(name))
    for kind in kinds.values():
        variables = [keras.Variable(start) for start in starts]
        optimizer = kind.from_config(config)
        for step in gradients:
            optimizer.apply([each.astype("float32") for each in step], variables)
        found.append(variables)
    for ours, theirs, start in zip(*found, starts, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=2e-5, atol=1e-6)
        assert not np.allclose(theirs, start, atol=1e-3)
