"""The networks of examples/models, copied as a user copies them: file and block."""

import re
import sys
from functools import partial

import numpy as np
import pytest
from helpers import finding
from ruamel.yaml import YAML
from support import PARAMS, REPOSITORY
from test_fit import TRAINED_ON, fit

from digits.params import check
from imageproof.artifacts import WORKSPACE
from imageproof.base import _inference
from imageproof.base.errors import UsageError

EXAMPLES = REPOSITORY / "examples" / "models"
BLOCKS = {
    path.stem: YAML(typ="safe").load(path.read_text("utf-8"))[path.stem]
    for path in EXAMPLES.glob("*.yaml")
}

pytestmark = pytest.mark.usefixtures("tensorflow", "copied")


@pytest.fixture
def copied(add_models, monkeypatch):
    """The files lie among those of the models, until the end of the test."""
    add_models({path.stem: path.read_text("utf-8") for path in EXAMPLES.glob("*.py")})
    for name in BLOCKS:
        monkeypatch.setitem(sys.modules, f"digits.models.{name}", None)
        del sys.modules[f"digits.models.{name}"]


def test_each_file_has_a_block():
    assert {path.stem for path in EXAMPLES.glob("*.py")} == BLOCKS.keys()


@pytest.mark.parametrize(
    "name", [pytest.param("best", marks=pytest.mark.slow), "mlp_pca", "sprint"]
)
def test_stage_trains_a_copied_example(project, name):
    from digits.stages import train

    block = (EXAMPLES / f"{name}.yaml").read_text("utf-8")
    pasted = re.sub(r"epochs: \d+", "epochs: 2\n      keep: best", block)
    params = project / "params.yaml"
    params.write_text(params.read_text("utf-8").replace("\ntrain:\n", f"\ntrain:\n{pasted}"))
    train.main(name)
    outputs = WORKSPACE.trained(name)
    losses = [epoch["val_loss"] for epoch in outputs.read_history()]
    assert len(losses) == 2
    assert outputs.read_metrics()["kept_epoch"] == np.argmin(losses) + 1
    network = _inference.load(outputs.model, threads=1)
    assert (network.shape, network.classes) == ((8, 8), 10)


def fitted(data, name, build, rows=TRAINED_ON, **changes):
    """The example, trained for two epochs."""
    block = BLOCKS[name] | {"build": BLOCKS[name]["build"] | build}
    block["fit"] = block["fit"] | {"epochs": 2, "batch_size": 25} | changes
    params = check(PARAMS | {"train": PARAMS["train"] | {name: block}})
    return fit(data, name, recipe=params.recipe(name), rows=rows).model


def test_members_answer_together(images_8x8):
    import keras

    images = images_8x8.images[:50]
    small = {"kernels": [3, 5], "filters": [4, 4, 4, 4]}
    model = fitted(images_8x8, "best", small, np.arange(500), class_weights={7: 50.0})
    members = keras.Model(model.input, model.layers[-1].input)
    answers = np.asarray(members(images))
    assert answers.shape == (50, 2, 10)
    assert (np.ptp(answers, axis=1) > 0).any()
    means = np.asarray(model(images))
    np.testing.assert_allclose(means, answers.mean(axis=1), atol=1e-6)
    assert (means.argmax(axis=1) == 7).mean() > 0.5


def test_principal_components_are_those_of_the_training_rows(images_8x8):
    import keras
    from sklearn.decomposition import PCA

    model = fitted(images_8x8, "mlp_pca", {"components": 12})
    pixels = images_8x8.images.reshape(-1, 64) / 255
    expected = PCA(12).fit(pixels[TRAINED_ON]).transform(pixels)
    features = keras.Model(model.inputs, model.get_layer("pca").output).predict(images_8x8.images)
    np.testing.assert_allclose(abs(features), abs(expected), atol=1e-3)


def test_more_components_than_images_are_refused(images_8x8):
    train = partial(fitted, images_8x8, "mlp_pca", {"components": 50}, np.arange(20))
    message = finding(UsageError, train)
    assert message == "build.components: 50 of 20 images of 64 values; at most 20 are allowed"
