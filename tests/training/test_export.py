"""The ONNX model answers as the Keras model of the same training, for every model there is."""

from functools import partial

import numpy as np
import pytest
from helpers import finding
from numpy.testing import assert_allclose
from scipy.special import softmax

from digits.models import model_file
from digits.models.finetune import SCALES
from imageproof.base import _inference
from imageproof.base._dataset import Dataset
from imageproof.base._temperature import fit_temperature
from imageproof.base.errors import ImageproofError
from imageproof.keras import framework
from imageproof.outputs import TrainOutputs

pytestmark = pytest.mark.usefixtures("tensorflow")

PARAMS = {
    "mlp": {"units": [8, 8, 8], "dropout": [0.1] * 3},
    "cnn": {"filters": [2, 3], "dense": 5, "dropout": [0.1, 0.1]},
    "compact": {"filters": [16, 16, 16, 16]},
}


def network(name, shape=(8, 8)):
    """A network with random weights, as it is after a fit."""
    from imageproof.keras.final_model import for_inference

    framework.set_seed(1)
    pretrained = {"backbone": name, "side": 32, "weights": None, "dropout": 0.0}
    file = model_file(name if name in PARAMS else "finetune")
    params = file.BuildParams(**PARAMS.get(name, pretrained))
    return for_inference(file.build(params, image_shape=shape, classes=10))


@pytest.fixture(scope="module")
def export(tensorflow):
    from imageproof.keras import export

    return export


@pytest.fixture(scope="module")
def calibrated(export, images_8x8):
    """A network, its temperature, and its answers."""
    return export.calibrate(network("mlp"), images_8x8)


@pytest.fixture
def written(export, tmp_path, calibrated):
    path = tmp_path / "model.onnx"
    export.write_onnx(calibrated[0], path)
    return path


@pytest.mark.parametrize(("name", "channels"), [("mlp", ()), ("cnn", ()), ("compact", (3,))])
def test_both_formats_answer_alike(export, name, channels, tmp_path):
    import keras

    random = np.random.default_rng(0)
    images = random.integers(256, size=(60, 8, 8, *channels), dtype=np.uint8)
    model = network(name, images.shape[1:])
    outputs = TrainOutputs(tmp_path)
    data = Dataset(images, random.integers(10, size=len(images)))
    _, answers = export.write(model, outputs, data, threads=1)
    saved = keras.models.load_model(outputs.keras)
    np.testing.assert_array_equal(saved.predict(images, 1000, verbose=0), answers)
    onnx = _inference.load(outputs.model, threads=1)
    assert_allclose(onnx.predict(images), answers, atol=1e-5)
    assert onnx.predict(images[:0]).shape == (0, onnx.classes) == (0, 10)
    expected = keras.Model(model.inputs, model.layers[-1].input).predict(images, verbose=0)
    features = _inference.load_features(outputs.model, threads=1)
    assert_allclose(features(images), expected, atol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("name", SCALES)
def test_backbone_is_exported(export, name, tmp_path):
    images = np.random.default_rng(0).integers(256, size=(20, 8, 8, 3), dtype=np.uint8)
    model = network(name, images.shape[1:])
    export.write_onnx(model, tmp_path / "model.onnx")
    answers = _inference.load(tmp_path / "model.onnx", threads=1).predict(images)
    assert_allclose(answers, model.predict(images, verbose=0), atol=1e-5)


def test_calibration_scales_the_logits(calibrated, images_8x8):
    raw = network("mlp").predict(images_8x8.images, verbose=0)
    _, temperature, answers = calibrated
    assert temperature == fit_temperature(raw, images_8x8.labels) != 1
    assert_allclose(answers, softmax(np.log(raw) / temperature, axis=1), atol=1e-6)


def test_onnx_with_other_answers_is_refused(
    export, written, calibrated, images_8x8, tmp_path, monkeypatch
):
    def check(answers):
        export.check_equal(written, answers, images_8x8, threads=1)

    answers = calibrated[-1]
    check(answers)
    changed = answers.copy()
    changed[7] += 2e-4
    line = finding(ImageproofError, check, changed)
    assert "differ from Keras's by up to 0.0002, at most 0.0001 is allowed" in line
    monkeypatch.setattr(export, "TOLERANCE", -1.0)  # no file is equal enough
    outputs = TrainOutputs(tmp_path)
    write = partial(export.write, network("mlp"), outputs, images_8x8, threads=1)
    assert "differ from Keras's" in finding(ImageproofError, write)


def test_equal_networks_are_equal_bytes(export, written, calibrated, tmp_path, monkeypatch):
    import keras

    saved = tmp_path / "model.keras"
    export.write_keras(calibrated[0], saved)
    content = saved.read_bytes()
    assert b"date_saved" not in content
    monkeypatch.setattr("time.time", lambda: 2e9)
    monkeypatch.setattr("time.localtime", lambda *_: (2033, 5, 18, 3, 33, 20, 2, 138, 0))
    export.write_keras(calibrated[0], saved)
    assert saved.read_bytes() == content
    first = written.read_bytes()
    export.write_onnx(keras.models.load_model(saved), written)
    assert written.read_bytes() == first


def test_network_of_a_thousand_operations_is_put_in_order(export):
    from onnx import TensorProto, helper

    nodes = [helper.make_node("Identity", [f"t{n}"], [f"t{n + 1}"]) for n in range(2000)]
    output = helper.make_tensor_value_info("t2000", TensorProto.FLOAT, None)
    graph = helper.make_graph(nodes[::-1], "deep", [], [output])
    assert export._in_order(graph) == nodes
