"""One training on several devices: as on one. Tried on two logical CPUs; there is no GPU here."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support import finding, python

from digits.core.errors import UsageError

# What each training makes random, or rounds to bfloat16, is left out: devices draw other numbers.
# Of 250 rows, the last batch of `mlp` has one row, which no two devices can share, and the last
# of `compact` has five.
CHANGES: dict[str, dict[str, Any]] = {
    "mlp": {"build.dropout": [0.0, 0.0, 0.0], "fit.batch_size": 83},
    "compact": {"build.dropout": 0.0, "fit.batch_size": 49, "fit.mixed_precision": False},
}
# TensorFlow divides the CPU only before its first use: the trainings need a process of their own.
TRAIN = """
import json, sys
from pathlib import Path
sys.path[:0] = {folders!r}
import numpy as np
from sklearn.datasets import load_digits
from digits.core import process
from digits.core.dataset import Dataset
with process.quiet_tensorflow(2):
    import tensorflow as tf
    [cpu] = tf.config.list_physical_devices("CPU")
    tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
    import test_fit
from digits.training import devices, export, saved_model
images, labels = load_digits(return_X_y=True)
data = Dataset(images.reshape(-1, 8, 8).astype(np.uint8), labels.astype(np.int64))
found = {{"device": devices.used("mirrored", mixed=False)}}
for model, changes in {changes!r}.items():
    recipe = test_fit.recipe(model, **{{f"train.{{model}}.{{k}}": v for k, v in changes.items()}})
    for distribute in ("none", "mirrored"):
        progress = []
        fitted = test_fit.fit(
            data, model, recipe=recipe, distribute=distribute, on_batches=progress.append
        )
        weights = [weight.tolist() for weight in fitted.model.get_weights()]
        layers = json.loads(fitted.model.to_json())["config"]["layers"]
        config = [layer["class_name"] for layer in layers]
        found[f"{{model}} {{distribute}}"] = [fitted.history, progress, weights, config]
validation = data.take(test_fit.VALIDATED_ON)
calibrated = export.calibrate(fitted.model, validation)
export.write_onnx(calibrated.model, Path({path!r}))
export.check_equal(Path({path!r}), calibrated.validation, validation, threads=1)
print(json.dumps(found))
"""


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What trainings with `none` and with `mirrored` found on two devices."""
    folders = [str(folder) for folder in Path(__file__).parents[:2]]
    path = str(tmp_path_factory.mktemp("devices") / "model.onnx")
    done = python("-c", TRAIN.format(folders=folders, changes=CHANGES, path=path))
    assert (done.returncode, done.stderr) == (0, "")
    return dict(json.loads(done.stdout))


@pytest.mark.slow
@pytest.mark.parametrize("model", CHANGES)
def test_two_devices_learn_as_one_does(found: dict[str, Any], model: str) -> None:
    """Sums of float32 in another order differ by about 1e-7 a step; there are up to twelve."""
    one, two = found[f"{model} none"], found[f"{model} mirrored"]
    assert len(one[0]) == 2
    for before, now in zip(one[0], two[0], strict=True):
        assert now == pytest.approx(before, abs=5e-6)
    for before, now in zip(one[2], two[2], strict=True):
        np.testing.assert_allclose(now, before, atol=5e-6)
    assert two[1][-1] == one[1][-1] == 2  # epochs done
    assert two[3] == one[3]


@pytest.mark.slow
def test_the_devices_of_a_training_are_told(found: dict[str, Any]) -> None:
    assert found["device"] == "2 × CPU, float32"


@pytest.mark.usefixtures("tensorflow")
def test_one_device_trains_as_with_none(capsys: pytest.CaptureFixture[str]) -> None:
    from digits.training import devices

    assert devices.strategy("mirrored") is None
    said = "train.distribute: mirrored: there is one device; it trains as with `none`\n"
    assert capsys.readouterr().out == said
    assert devices.used("mirrored", mixed=False) == "CPU, float32"


def gru(layers: Any) -> list[Any]:
    return [layers.Bidirectional(layers.GRU(4)), layers.Dense(10, "softmax")]


def nothing_to_train(layers: Any) -> list[Any]:
    return [layers.GlobalAveragePooling1D(), layers.Softmax()]


def a_model_behind_a_layer(layers: Any) -> list[Any]:
    import keras

    inner = [keras.Input((8, 8)), layers.Flatten(), layers.Dense(10, "softmax")]
    return [layers.Rescaling(0.5), keras.Sequential(inner, name="inner")]


@pytest.mark.usefixtures("tensorflow")
@pytest.mark.parametrize(
    ("build", "message"),
    [
        (gru, ": GRU needs unroll=True for ONNX"),
        (nothing_to_train, "no layer has weights: there is nothing to train"),
        (a_model_behind_a_layer, "inner: a model within the model must take the image itself"),
    ],
)
def test_a_network_that_cannot_be_exported_is_refused_before_the_fit(
    build: Callable[[Any], list[Any]], message: str
) -> None:
    import keras

    from digits.training.saved_model import check_exportable

    model = keras.Sequential([keras.Input((8, 8), dtype="uint8"), *build(keras.layers)])
    assert message in finding(UsageError, lambda: check_exportable(model))
