"""Training: the same in every process, every image once per epoch, and what it cost."""

import hashlib
import os
import resource
import subprocess
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from helpers import finding, python
from support import SMALL, changed

from digits.models import model_file
from digits.params import check
from digits.training.recipe import Recipe
from imageproof.base.dataset import Dataset
from imageproof.base.errors import UsageError

pytestmark = pytest.mark.usefixtures("tensorflow")

TRAINED_ON, VALIDATED_ON = np.arange(250), np.arange(250, 350)


def recipe(model: str = "mlp", **changes: Any) -> Recipe:
    return check(changed({**SMALL, **changes})).recipe(model)


def fit(
    data: Dataset,
    model: str = "mlp",
    *,
    build: Any = None,
    rows: np.ndarray = TRAINED_ON,
    validation_rows: np.ndarray = VALIDATED_ON,
    **changes: Any,
) -> Any:
    from digits.training.keras_model import Training
    from imageproof.keras.costs import TrainingCost

    cost = TrainingCost(changes.pop("on_epoch", lambda *_: None))
    checkpoint = changes.pop("checkpoint", None)
    functions = {name: changes.pop(name) for name in ("adapt", "unfreeze") if name in changes}
    training = Training(
        file=SimpleNamespace(build=build, **functions) if build else model_file(model),
        data=data.take(rows),
        validation=data.take(validation_rows),
        **{"recipe": recipe(model), "classes": 10, "seed": 42} | changes,
    )
    final = training.run(cost, checkpoint)
    timing = cost.timing(images=len(rows), threads=2)
    return SimpleNamespace(model=final, history=cost.history, timing=timing)


def fingerprint(model: Any) -> str:
    return hashlib.md5(b"".join(weight.tobytes() for weight in model.get_weights())).hexdigest()


# They hold every kind of layer and of recipe. Of more TensorFlow says that it traces too often.
REPEATED = ("cnn", "compact")

# What `fit` does, in a process of its own, as a stage would set it up.
SECOND_PROCESS = """
import sys
sys.path[:0] = {folders!r}
from imageproof.system import process
with process.quiet_tensorflow(2):
    import test_fit
from sklearn.datasets import load_digits
import numpy as np
from imageproof.base.dataset import Dataset
images, labels = load_digits(return_X_y=True)
data = Dataset(images.reshape(-1, 8, 8).astype(np.uint8), labels.astype(np.int64))
for model in {models!r}:
    print(test_fit.fingerprint(test_fit.fit(data, model).model))
"""


@pytest.fixture(scope="module")
def fitted(tensorflow: None, images_8x8: Dataset) -> Callable[[str], Any]:
    """What `fit` makes of a model with nothing changed, once for all tests. To be read only."""
    return cache(lambda model: fit(images_8x8, model))


@pytest.mark.slow
def test_second_process_gives_the_same_bits(fitted: Callable[[str], Any]) -> None:
    done = python("-c", SECOND_PROCESS.format(folders=sys.path, models=REPEATED))
    here = [fingerprint(fitted(model).model) for model in REPEATED]
    assert done.stdout.split() == here


@pytest.mark.parametrize("model", REPEATED)
def test_images_read_from_disk_give_the_same_bits(
    fitted: Callable[[str], Any],
    images_8x8: Dataset,
    monkeypatch: pytest.MonkeyPatch,
    model: str,
) -> None:
    monkeypatch.setattr("imageproof.keras.batching.IN_MEMORY", 0)
    read = fit(images_8x8, model)
    assert fingerprint(read.model) == fingerprint(fitted(model).model)
    assert read.history == fitted(model).history


def test_each_epoch_shows_every_image_once(images_8x8: Dataset) -> None:
    import keras
    import tensorflow as tf

    numbers: list[int] = []

    class Recorder(keras.layers.Layer):  # type: ignore[misc]
        def call(self, images: tf.Tensor, training: bool = False) -> tf.Tensor:
            if training:
                tf.numpy_function(self.record, [images[:, 0, 0], images[:, 0, 1]], [])
            return images

        def record(self, low: np.ndarray, high: np.ndarray) -> None:
            numbers.extend((low.astype(int) + 256 * high.astype(int)).tolist())

    def build(_: object, *, image_shape: tuple[int, int], classes: int) -> keras.Model:
        layers = [Recorder(), keras.layers.Flatten(), keras.layers.Dense(classes, "softmax")]
        return keras.Sequential([keras.Input(image_shape, dtype="uint8"), *layers])

    marked = images_8x8.images.copy()
    marked[:, 0, 0], marked[:, 0, 1] = np.divmod(np.arange(len(marked)), 256)[::-1]
    # 250 images are 83 batches of 3 and one of 1
    chosen = recipe(**{"train.mlp.fit": {"epochs": 3, "batch_size": 3}})
    fit(Dataset(marked, images_8x8.labels), build=build, recipe=chosen)
    epochs = np.array(numbers).reshape(3, -1)
    np.testing.assert_array_equal(np.sort(epochs, axis=1), [TRAINED_ON] * 3)
    assert len({tuple(row) for row in [*epochs.tolist(), TRAINED_ON.tolist()]}) == 4


JITTER = {"brightness": 0.2, "contrast": 0.2, "saturation": 0.2, "cutout": 0.2}


# `finetune` without weights needs more images
@pytest.mark.parametrize(
    ("model", "colour", "changes"),
    [
        ("mlp", False, {"build.units": [64, 32, 32]}),
        ("cnn", False, {}),
        ("compact", False, {}),
        (
            "compact",
            True,
            {"fit.mixed_precision": True, "augment": {"rotation": 5.0, "flip": True, **JITTER}},
        ),
    ],
)
def test_model_learns(
    images_8x8: Dataset, model: str, colour: bool, changes: dict[str, Any]
) -> None:
    images = images_8x8.images * np.uint8(15)
    if colour:
        images = np.stack([images, images // 2, 255 - images], -1)
    changes = {"fit.epochs": 12, "fit.batch_size": 16} | changes
    settings = recipe(model, **{f"train.{model}.{key}": value for key, value in changes.items()})
    trained = fit(Dataset(images, images_8x8.labels), model, recipe=settings)
    assert trained.model.input_shape == (None, *images.shape[1:])
    assert trained.history[-1]["val_accuracy"] > 0.3  # chance is 0.1
    assert trained.history[-1]["loss"] < trained.history[0]["loss"]


def test_epochs_and_cost_are_reported(images_8x8: Dataset) -> None:
    reported: list[Any] = []
    result = fit(images_8x8, on_epoch=lambda *epoch: reported.append(epoch))
    assert reported == list(enumerate(result.history))
    assert len(reported) == 2
    assert set(result.history[0]) == {"loss", "accuracy", "val_loss", "val_accuracy"}
    timing = result.timing
    cost = ["user_s", "system_s", "elapsed_s", "epoch_s", "samples_per_s", "shared_cores"]
    assert list(timing) == cost
    assert timing["user_s"] > 0
    assert timing["system_s"] >= 0
    assert 0 < timing["epoch_s"] <= timing["elapsed_s"]
    assert timing["samples_per_s"] == pytest.approx(2 * 250 / timing["elapsed_s"])


@pytest.mark.parametrize(
    "change",
    [
        {"label_smoothing": 0.5},
        {"loss": "categorical_focal_crossentropy"},
        {"class_weights": dict.fromkeys(range(9), 100.0)},
    ],
    ids=str,
)
def test_metrics_are_plain_whatever_the_loss(
    images_8x8: Dataset, fitted: Callable[[str], Any], change: dict[str, Any]
) -> None:
    changes = {f"train.mlp.fit.{key}": value for key, value in change.items()}
    result = fit(images_8x8, recipe=recipe(**changes))
    assert fingerprint(result.model) != fingerprint(fitted("mlp").model)
    validation = images_8x8.take(VALIDATED_ON)
    probabilities = result.model.predict(validation.images, verbose=0)
    accuracy = (probabilities.argmax(axis=1) == validation.labels).mean()
    loss = -np.log(probabilities[np.arange(len(validation)), validation.labels]).mean()
    assert result.history[-1]["val_accuracy"] == pytest.approx(accuracy)
    assert result.history[-1]["val_loss"] == pytest.approx(loss, rel=1e-5)


@pytest.mark.parametrize("spare", [0, 1])
def test_cores_that_others_use_are_counted(monkeypatch: pytest.MonkeyPatch, spare: int) -> None:
    from imageproof.keras.costs import TrainingCost

    monkeypatch.setattr(os, "cpu_count", lambda: 2 + spare)
    cost = TrainingCost(lambda *_: None)
    start_s = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime
    subprocess.run([sys.executable, "-c", "sum(range(20_000_000))"], check=True)
    used = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime - start_s
    cost({"loss": 0.5})
    timing = cost.timing(images=1, threads=2)
    shared_s = (timing["shared_cores"] + spare) * timing["elapsed_s"]
    assert shared_s > used - 0.05  # the kernel's ticks


def saved_layers(model: Any) -> set[tuple[str, str]]:
    """Package and compute dtype of each layer."""
    return {(type(layer).__module__.split(".")[0], layer.compute_dtype) for layer in model.layers}


@pytest.mark.parametrize("model", ["mlp", "cnn", "compact"])
def test_final_model_is_float32_and_of_keras(fitted: Callable[[str], Any], model: str) -> None:
    final = fitted(model).model
    assert saved_layers(final) == {("keras", "float32")}
    assert not final.compiled  # the state of an optimizer would double or treble the file


def test_grey_images_have_no_saturation(images_8x8: Dataset) -> None:
    settings = recipe(**{"train.mlp.augment": {"saturation": 0.2}})
    message = finding(UsageError, lambda: fit(images_8x8, recipe=settings))
    assert message == "augment.saturation: the images are grey, and have none; leave it out"


def test_too_small_images_are_one_line(images_8x8: Dataset) -> None:
    small = Dataset(images_8x8.images[:, :3, :5], images_8x8.labels)
    message = finding(UsageError, lambda: fit(small, "cnn"))
    assert message == (
        "data.image.size: images of 3×5 are too small for this model; set larger sides, or train "
        "another model"
    )


@pytest.mark.parametrize(
    ("vendor", "flags", "expected"),
    [
        ("AuthenticAMD", "avx2 avx512_bf16", "mixed_bfloat16"),
        ("AuthenticAMD", "avx2 avx512f", "float32"),
        ("GenuineIntel", "avx512_bf16 amx_bf16", "mixed_bfloat16"),
        ("GenuineIntel", "avx512_bf16", "float32"),
    ],
)
def test_mixed_precision_where_bfloat16_is_faster(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, vendor: str, flags: str, expected: str
) -> None:
    from imageproof.base import machine
    from imageproof.keras import devices

    monkeypatch.delenv("DIGITS_NO_BFLOAT16", raising=False)
    monkeypatch.setattr(machine, "CPUINFO", tmp_path / "cpuinfo")
    machine.CPUINFO.write_text(f"vendor_id\t: {vendor}\nflags\t: {flags}\n", "utf-8")
    assert devices.policy(mixed=True) == expected
    assert devices.policy(mixed=False) == "float32"
