"""A backbone with weights from a file: what each phase trains, and which files are refused."""

import numpy as np
import pytest
from helpers import finding
from test_fit import fit, training
from test_fit import recipe as small_recipe

from imageproof.base.errors import (
    DataError,
    IntegrityError,
    ServiceError,
    UsageError,
)
from imageproof.base.files import sha256
from imageproof.keras import framework

pytestmark = pytest.mark.usefixtures("tensorflow")


@pytest.fixture(scope="module")
def backbone(tensorflow):
    """The smallest backbone, with weights that only this test has."""
    import keras

    framework.set_seed(3)
    shape = (32, 32, 3)
    network = keras.applications.MobileNetV3Small(
        include_top=False, weights=None, input_shape=shape
    )
    for layer in network.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.momentum = 0.0
    # with the statistics of images, as if it had seen some: without, its features are all alike
    network(
        np.random.default_rng(0).integers(0, 256, (64, *shape)).astype("float32"), training=True
    )
    return network


@pytest.fixture(scope="module")
def weights(backbone, tmp_path_factory):
    path = tmp_path_factory.mktemp("weights") / "backbone.weights.h5"
    backbone.save_weights(path)
    return path


def recipe(weights, sha=None):
    weights = weights and str(weights)
    return small_recipe("finetune", build__weights=weights, build__weights_sha256=sha)


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
    finetune.unfreeze(network, layers=2)
    assert trained_layers(network) == ["expanded_conv_10_project", "conv_1", head]
    answers = np.asarray(network(images_8x8.images[:50] * np.uint8(15)))
    assert np.ptp(answers, axis=0).min() > 0.001


def test_without_weights_all_is_trained(images_8x8):
    network = training(images_8x8, "finetune", recipe=recipe(None))._build()
    assert [layer.name for layer in network.layers if not layer.trainable] == []


@pytest.mark.parametrize(
    ("name", "text", "sha", "error", "message"),
    [
        ("other", None, "0" * 64, DataError, "not found; `dvc pull` fetches it if it is a dep"),
        ("text", "weights", "0" * 64, IntegrityError, "which is not weights_sha256"),
        ("text", "weights", None, DataError, "cannot be read as weights of MobileNetV3Small: "),
    ],
)
def test_other_files_are_refused(images_8x8, tmp_path, name, text, sha, error, message):
    path = tmp_path / f"{name}.weights.h5"
    if text:
        path.write_text(text, "utf-8")
    params = recipe(path, sha or sha256(path))
    line = finding(error, fit, images_8x8, "finetune", recipe=params)
    assert line.startswith(f"build.weights: {path}: ")
    assert message in line


def test_imagenet_without_network_is_one_line(images_8x8, tmp_path, monkeypatch):
    for scheme in ("http_proxy", "https_proxy"):
        monkeypatch.setenv(scheme, "http://127.0.0.1:9")
    monkeypatch.setattr("keras.src.utils.file_utils.config.keras_home", lambda: str(tmp_path))
    line = finding(ServiceError, lambda: fit(images_8x8, "finetune", recipe=recipe("imagenet")))
    assert line.startswith("build.weights: imagenet: cannot be fetched (")
    assert line.endswith("); a file can be given instead")


@pytest.mark.parametrize(("weights", "sha"), [("a.keras", None), (None, "0" * 64)])
def test_a_file_and_its_hash_go_together(weights, sha):
    line = finding(UsageError, recipe, weights, sha)
    assert "a file of weights needs weights_sha256, and only that has one" in line
