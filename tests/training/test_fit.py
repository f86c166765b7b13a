"""Training: the same in every process, every image once per epoch, and what it cost."""

import hashlib
import os
import sys
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from helpers import finding, python
from support import SMALL, changed

from digits.models import model_file
from digits.params import check
from imageproof.base._dataset import Dataset
from imageproof.base.errors import UsageError
from imageproof.base.files import write_json
from imageproof.keras.costs import TrainingCost

pytestmark = pytest.mark.usefixtures("tensorflow")

TRAINED_ON = np.arange(250)
VALIDATED_ON = np.arange(250, 350)


def recipe(model="mlp", **changes):
    """A small model's recipe with other values, as `fit__epochs=3`."""
    values = {f"train.{model}.{key.replace('__', '.')}": value for key, value in changes.items()}
    return check(changed(SMALL | values)).recipe(model)


def training(data, model="mlp", *, rows=TRAINED_ON, validation_rows=VALIDATED_ON, **changes):
    """A training of a model of the catalogue, with other values for fields of `Training`."""
    from digits.training.keras_model import Training

    if "recipe" not in changes:
        changes["recipe"] = recipe(model)
    values = {"file": model_file(model), "classes": 10, "seed": 42} | changes
    return Training(data=data.take(rows), validation=data.take(validation_rows), **values)


def fit(data, model="mlp", *, on_epoch=lambda *_: None, checkpoint=None, **changes):
    """Run such a training; the network that it fitted, and its weights' print at each epoch."""
    networks = []
    prints = {}

    def build(*arguments, **options):
        networks.append(planned.file.build(*arguments, **options))
        return networks[0]

    def record(epoch, metrics):
        prints[epoch] = fingerprint(networks[0])
        on_epoch(epoch, metrics)

    planned = training(data, model, **changes)
    file = SimpleNamespace(**{**vars(planned.file), "build": build})
    cost = TrainingCost(record)
    final = replace(planned, file=file).run(cost, checkpoint)
    results = {"history": cost.history, "timing": cost.timing(threads=2)}
    return SimpleNamespace(model=final, network=networks[0], prints=prints, **results)


def fingerprint(model):
    return hashlib.md5(b"".join(weight.tobytes() for weight in model.get_weights())).hexdigest()


# They hold every kind of layer and of recipe. Of more TensorFlow says that it traces too often.
REPEATED = ("cnn", "compact")

# What `fit` does, in a process of its own, as a stage would set it up.
SECOND_PROCESS = """
import sys
sys.path[:0] = {folders!r}
from imageproof.keras import framework
from imageproof.system import _process
_process.set_environment()
framework.load_tensorflow(2, "none", mixed=False)
import test_fit
from sklearn.datasets import load_digits
import numpy as np
from imageproof.base._dataset import Dataset
images, labels = load_digits(return_X_y=True)
data = Dataset(images.reshape(-1, 8, 8).astype(np.uint8), labels.astype(np.int64))
for model in {models!r}:
    print(test_fit.fingerprint(test_fit.fit(data, model).model))
"""


@pytest.mark.slow
def test_second_process_gives_the_same_bits(images_8x8, tmp_path):
    settings = {"floatx": "float64", "epsilon": 0.1, "image_data_format": "channels_first"}
    write_json(tmp_path / "keras.json", settings)
    variables = {
        "KERAS_HOME": str(tmp_path),
        "KERAS_BACKEND": "torch",
        "KERAS_MAX_EPOCHS": "1",
        "TF_ENABLE_ONEDNN_OPTS": "0",
        "TF_XLA_FLAGS": "--tf_xla_auto_jit=2 --tf_xla_cpu_global_jit",
    }
    code = SECOND_PROCESS.format(folders=sys.path, models=REPEATED)
    done = python("-c", code, env=os.environ | variables)
    here = [fingerprint(fit(images_8x8, model).model) for model in REPEATED]
    assert done.stdout.split() == here


def test_model_learns_and_is_saved_in_float32(images_8x8):
    grey = images_8x8.images * np.uint8(15)
    colour = Dataset(np.stack([grey, grey // 2, 255 - grey], -1), images_8x8.labels)
    settings = recipe(
        "compact",
        fit__batch_size=16,
        fit__epochs=6,
        fit__mixed_precision=True,
        augment={"rotation": 5.0, "flip": True, "contrast": 0.2, "cutout": 0.2},
    )
    trained = fit(colour, "compact", recipe=settings)
    assert trained.history[-1]["val_accuracy"] > 0.3  # chance is 0.1
    final = trained.model
    layers = {(type(layer).__module__.split(".")[0], layer.compute_dtype) for layer in final.layers}
    assert layers == {("keras", "float32")}
    assert not final.compiled  # the state of an optimizer would double or treble the file


def test_epochs_and_cost_are_reported(images_8x8):
    epochs = []
    result = fit(images_8x8, on_epoch=lambda *epoch: epochs.append(epoch))
    assert epochs == list(enumerate(result.history, 1))
    assert len(epochs) == 2
    user_s, system_s, elapsed_s, epoch_s, _ = result.timing.values()
    assert user_s > 0 <= system_s
    assert 0 < epoch_s <= elapsed_s


def test_grey_images_have_no_saturation(images_8x8):
    settings = recipe(augment={"saturation": 0.2})
    line = finding(UsageError, fit, images_8x8, recipe=settings)
    assert line == "augment.saturation: the images are grey, and have none; leave it out"


def test_too_small_images_are_one_line(images_8x8):
    small = Dataset(images_8x8.images[:, :3, :5], images_8x8.labels)
    line = finding(UsageError, fit, small, "cnn")
    assert line.startswith("data.image.size: images of 3×5 are too small for this model; set large")


@pytest.mark.parametrize(
    ("vendor", "flags", "expected"),
    [
        ("AuthenticAMD", "avx2 avx512_bf16", "mixed_bfloat16"),
        ("AuthenticAMD", "avx2 avx512f", "float32"),
        ("GenuineIntel", "avx512_bf16 amx_bf16", "mixed_bfloat16"),
        ("GenuineIntel", "avx512_bf16", "float32"),
    ],
)
def test_mixed_precision_where_bfloat16_is_faster(monkeypatch, tmp_path, vendor, flags, expected):
    from imageproof.base import _machine
    from imageproof.keras import devices

    monkeypatch.delenv("DIGITS_NO_BFLOAT16", raising=False)
    monkeypatch.setattr(_machine, "CPUINFO", tmp_path / "cpuinfo")
    _machine.CPUINFO.write_text(f"vendor_id\t: {vendor}\nflags\t: {flags}\n", "utf-8")
    assert devices.policy(mixed=True) == expected
    assert devices.policy(mixed=False) == "float32"
