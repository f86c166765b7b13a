"""Trainings on several devices, and networks that cannot be exported."""

import sys

import pytest
from helpers import finding, python

from imageproof.base.errors import UsageError

pytestmark = pytest.mark.usefixtures("tensorflow")

# TensorFlow divides the CPU only before its first use: the training needs a process of its own.
TRAIN = """
import os, sys
sys.path[:0] = {folders!r}
import numpy as np
from sklearn.datasets import load_digits
from imageproof.system import _process
from imageproof.base._dataset import Dataset
with _process.quiet_tensorflow(2):
    assert os.environ["TF_NUM_INTRAOP_THREADS"] == "2"
    import tensorflow as tf
    [cpu] = tf.config.list_physical_devices("CPU")
    tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
    import test_fit
from imageproof.keras import devices
from imageproof.keras import batching
batching.IN_MEMORY = 0  # what is mapped has no shape that the graph knows
images, labels = load_digits(return_X_y=True)
images = images.reshape(-1, 8, 8).astype(np.uint8)
data = Dataset(np.stack([images] * 3, axis=-1), labels.astype(np.int64))
fitted = test_fit.fit(
    data,
    "compact",
    recipe=test_fit.recipe("compact", fit__epochs=6, fit__batch_size=49),
    distribute="mirrored",
    validation_rows=np.arange(250, 351),  # neither these nor 49 are a multiple of two
)
print(devices.used("mirrored", mixed=False), fitted.history[-1]["val_accuracy"], sep="; ")
"""


@pytest.mark.slow
def test_mirrored_trains_on_two_devices():
    done = python("-c", TRAIN.format(folders=sys.path), timeout=300)
    assert (done.returncode, done.stderr) == (0, "")
    used, accuracy = done.stdout.split("; ")
    assert used == "2 × CPU, float32"
    assert float(accuracy) > 0.2


def test_network_that_cannot_be_exported_or_answer_is_refused(monkeypatch):
    from keras import Input, Sequential, layers

    from imageproof.keras import final_model

    def refusal(*hidden):
        model = Sequential([Input((8, 8), dtype="uint8"), *hidden])
        return finding(UsageError, final_model.check_exportable, model)

    assert "GRU needs unroll=True for ONNX" in refusal(layers.Bidirectional(layers.GRU(4)))
    monkeypatch.setattr(final_model, "MAX_WEIGHTS", 649)
    line = refusal(layers.Flatten(), layers.Dense(10))
    assert line.startswith("the network has 650 weights, as images are 8×8, and at most 649 are ")
