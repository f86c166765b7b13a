"""The networks of examples/models, copied as a user copies them: file and block."""

import re
import shutil
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers import finding
from ruamel.yaml import YAML
from support import PARAMS, REPOSITORY

from digits import models
from digits.models import model_file
from digits.params import Params, check
from imageproof.artifacts import WORKSPACE
from imageproof.base import inference
from imageproof.base.dataset import Dataset, Rows
from imageproof.base.errors import UsageError

EXAMPLES = REPOSITORY / "examples" / "models"
NAMES = ("best", "mlp_pca", "sprint")
BLOCKS = {
    name: YAML(typ="safe").load((EXAMPLES / f"{name}.yaml").read_text("utf-8"))[name]
    for name in NAMES
}
SMALL = {"kernels": [3, 5], "filters": [4, 4, 4, 4]}

pytestmark = pytest.mark.usefixtures("tensorflow", "copied")


@pytest.fixture
def copied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The files lie among those of the models, until the end of the test."""
    shutil.copytree(EXAMPLES, tmp_path / "models")
    monkeypatch.setattr(models, "__path__", [*models.__path__, str(tmp_path / "models")])
    for name in NAMES:
        monkeypatch.setitem(sys.modules, f"digits.models.{name}", None)
        del sys.modules[f"digits.models.{name}"]


def test_each_file_has_a_block() -> None:
    assert {path.stem for path in EXAMPLES.glob("*.py")} == {*NAMES}
    assert {path.stem for path in EXAMPLES.glob("*.yaml")} == {*NAMES}


@pytest.mark.parametrize(
    "name", [pytest.param("best", marks=pytest.mark.slow), "mlp_pca", "sprint"]
)
def test_stage_trains_a_copied_example(project: Path, name: str) -> None:
    from digits.stages import train

    pasted = re.sub(r"epochs: \d+", "epochs: 1", (EXAMPLES / f"{name}.yaml").read_text("utf-8"))
    params = project / "params.yaml"
    params.write_text(params.read_text("utf-8").replace("\ntrain:\n", f"\ntrain:\n{pasted}"))
    train.main(name)
    assert len(WORKSPACE.trained(name).read_history()) == 1
    network = inference.load(WORKSPACE.trained(name).model, threads=1)
    assert (network.shape, network.classes) == ((8, 8), 10)


def fit(data: Dataset, name: str, params: Params, rows: Rows) -> Any:
    from digits.training.keras_model import Training
    from imageproof.keras.costs import TrainingCost

    parts = data.take(rows), data.take(np.arange(1000, 1100))
    training = Training(model_file(name), params.recipe(name), *parts, classes=10, seed=42)
    return training.run(TrainingCost(lambda *_: None))


def params_of(name: str, build: dict[str, Any], **changes: Any) -> Params:
    block = BLOCKS[name] | {"build": BLOCKS[name]["build"] | build}
    block |= {"fit": block["fit"] | {"epochs": 2, "batch_size": 25} | changes}
    return check(PARAMS | {"train": PARAMS["train"] | {name: block}})


def test_members_answer_together(images_8x8: Dataset) -> None:
    import keras

    rows, images = np.arange(500), images_8x8.images[:50]
    mean_model = fit(images_8x8, "best", params_of("best", SMALL), rows)
    members = keras.Model(mean_model.input, mean_model.layers[-1].input)
    answers = np.asarray(members(images))
    assert answers.shape == (50, 2, 10)
    assert (np.ptp(answers, axis=1) > 0).any()
    np.testing.assert_allclose(np.asarray(mean_model(images)), answers.mean(axis=1), atol=1e-6)
    heavy = params_of("best", SMALL, class_weights={7: 50.0})
    classes = fit(images_8x8, "best", heavy, rows).predict(images, verbose=0).argmax(axis=1)
    assert (classes == 7).mean() > 0.5


def test_principal_components_are_those_of_the_training_rows(images_8x8: Dataset) -> None:
    import keras
    from sklearn.decomposition import PCA

    rows = np.arange(250)
    model = fit(images_8x8, "mlp_pca", params_of("mlp_pca", {"components": 12}), rows)
    pixels = images_8x8.images.reshape(-1, 64) / 255
    expected = PCA(12).fit(pixels[rows]).transform(pixels)
    features = keras.Model(model.inputs, model.get_layer("pca").output).predict(images_8x8.images)
    np.testing.assert_allclose(abs(features), abs(expected), atol=1e-3)


def test_more_components_than_images_are_refused(images_8x8: Dataset) -> None:
    params = params_of("mlp_pca", {"components": 50})
    message = finding(UsageError, lambda: fit(images_8x8, "mlp_pca", params, np.arange(20)))
    assert message == "build.components: 50 of 20 images of 64 values; at most 20 are allowed"
