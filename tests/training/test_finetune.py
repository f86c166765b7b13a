"""A backbone with weights from a file: what each phase trains, and which files are refused."""

import numpy as np
import pytest
from helpers import finding
from test_fit import fit, training
from test_fit import recipe as small_recipe

from imageproof.base.errors import DataError, IntegrityError
from imageproof.base.files import sha256
from imageproof.keras import framework

pytestmark = pytest.mark.usefixtures("tensorflow")


@pytest.fixture(scope="module")
def backbone(tensorflow):
    """The smallest backbone, with weights that only this test has."""
    import keras

    framework.set_seed(3)
    return keras.applications.MobileNetV3Small(
        include_top=False, weights=None, input_shape=(32, 32, 3)
    )


@pytest.fixture(scope="module")
def weights(backbone, tmp_path_factory):
    path = tmp_path_factory.mktemp("weights") / "backbone.weights.h5"
    backbone.save_weights(path)
    return path


def recipe(weights, sha):
    return small_recipe("finetune", build__weights=str(weights), build__weights_sha256=sha)


def trained_layers(network):
    """The layers with weights that a fit changes, from the bottom."""
    return [layer.name for layer in network.layers if layer.trainable_weights]


def test_head_is_trained_first_then_the_last_layers(images_8x8, backbone, weights):
    from digits.models import finetune

    settings = recipe(weights, sha256(weights))
    network = training(images_8x8, "finetune", recipe=settings)._build()
    for layer in backbone.layers:
        if layer.weights:
            read = network.get_layer(layer.name).get_weights()
            np.testing.assert_equal(read, layer.get_weights())
    head = network.layers[-1].name
    assert trained_layers(network) == [head]
    whole = training(images_8x8, "finetune", recipe=small_recipe("finetune"))._build()
    assert [layer.name for layer in whole.layers if not layer.trainable] == []
    finetune.unfreeze(network, layers=2)
    assert trained_layers(network) == ["expanded_conv_10_project", "conv_1", head]


def test_other_files_are_refused(images_8x8, tmp_path):
    path = tmp_path / "text.weights.h5"
    path.write_text("weights", "utf-8")
    for sha, error, message in (
        ("0" * 64, IntegrityError, "which is not weights_sha256"),
        (sha256(path), DataError, "cannot be read as weights of MobileNetV3Small: "),
    ):
        line = finding(error, fit, images_8x8, "finetune", recipe=recipe(path, sha))
        assert line.startswith(f"build.weights: {path}: ")
        assert message in line
