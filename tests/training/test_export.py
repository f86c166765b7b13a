"""The ONNX model answers as the Keras model of the same training, for every model there is."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support import finding

from imageproof.base import inference
from imageproof.base.dataset import Dataset, Shape
from imageproof.base.errors import DataError, ImageproofError

pytestmark = pytest.mark.usefixtures("tensorflow")

BUILDS: dict[str, dict[str, Any]] = {
    "mlp": {"units": [8, 8, 8], "dropout": [0.1] * 3},
    "cnn": {"filters": [2, 3], "dense": 5, "dropout": [0.1, 0.1]},
    "compact": {"filters": [16, 16, 16, 16]},
}


def network(name: str, *, shape: Shape = (8, 8)) -> Any:
    """A network with random weights, as it is after a fit."""
    import keras

    from digits.models import model_file
    from imageproof.keras.final_model import for_inference

    keras.utils.set_random_seed(1)
    file = model_file(name)
    built = file.build(file.BuildParams(**BUILDS[name]), image_shape=shape, classes=10)
    return for_inference(built)


@pytest.fixture(scope="module")
def calibrated(tensorflow: None, digits_8x8: Dataset) -> Any:
    from imageproof.keras import export

    return export.calibrate(network("mlp"), digits_8x8)


@pytest.fixture
def written(tmp_path: Path, calibrated: Any) -> Path:
    from imageproof.keras import export

    path = tmp_path / "model.onnx"
    export.write_onnx(calibrated.model, path)
    return path


def coloured(data: Dataset) -> Dataset:
    images = data.images
    return Dataset(np.stack([images, images[:, ::-1], images[:, :, ::-1]], -1), data.labels)


@pytest.mark.parametrize("prepare", [lambda data: data, coloured], ids=["grey", "colour"])
@pytest.mark.parametrize("name", BUILDS)
def test_onnx_and_keras_give_the_same_probabilities(
    name: str, prepare: Callable[[Dataset], Dataset], tmp_path: Path, digits_8x8: Dataset
) -> None:
    import keras

    from imageproof.keras import export

    data, path, saved = prepare(digits_8x8), tmp_path / "model.onnx", tmp_path / "model.keras"
    model = network(name, shape=data.images.shape[1:])
    calibrated = export.calibrate(model, data)
    export.write_keras(calibrated.model, saved)
    again = keras.models.load_model(saved).predict(data.images, 1000, verbose=0)
    np.testing.assert_array_equal(again, calibrated.validation)
    export.write_onnx(calibrated.model, path)
    loaded = inference.load(path, threads=1)
    assert loaded.shape == data.images.shape[1:]
    answers = loaded.predict(data.images)
    np.testing.assert_allclose(answers, calibrated.validation, atol=1e-5)
    raw = model.predict(data.images, 1000, verbose=0)
    second, first = np.sort(answers, axis=1)[:, -2:].T
    decided = first - second > 1e-6  # random networks give some rows two equal classes
    np.testing.assert_array_equal(answers.argmax(axis=1)[decided], raw.argmax(axis=1)[decided])
    assert decided.mean() > 0.5
    assert (answers != raw).any()


def test_the_features_are_the_input_of_the_last_layer(tmp_path: Path, digits_8x8: Dataset) -> None:
    import keras

    from imageproof.keras import export

    model, path = network("cnn"), tmp_path / "model.onnx"
    export.write_onnx(model, path)
    hidden = keras.Model(model.inputs, model.layers[-1].input)
    expected = hidden.predict(digits_8x8.images, verbose=0)
    features = inference.load_features(path, threads=1)
    np.testing.assert_allclose(features(digits_8x8.images), expected, atol=1e-5)


def test_equal_networks_are_equal_bytes(written: Path, calibrated: Any, tmp_path: Path) -> None:
    import keras

    from imageproof.keras import export

    export.write_keras(calibrated.model, tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras")
    export.write_onnx(again, tmp_path / "again.onnx")
    assert (tmp_path / "again.onnx").read_bytes() == written.read_bytes()


def test_an_onnx_model_that_answers_otherwise_is_refused(
    written: Path, calibrated: Any, digits_8x8: Dataset
) -> None:
    from imageproof.keras import export

    def check(expected: np.ndarray) -> None:
        export.check_equal(written, expected, digits_8x8, threads=1)

    check(calibrated.validation)
    changed = calibrated.validation.copy()
    changed[7] += 2e-4
    message = finding(ImageproofError, lambda: check(changed))
    assert "differ from Keras's by up to 0.0002, at most 0.0001 is allowed" in message


class TestAsking:
    def test_any_number_of_images_gives_as_many_answers(
        self, written: Path, digits_8x8: Dataset
    ) -> None:
        loaded = inference.load(written, threads=1)
        assert (loaded.shape, loaded.classes) == ((8, 8), 10)
        images = digits_8x8.images
        assert len(images) > inference.BATCH
        single = np.concatenate([loaded.predict(images[n : n + 1]) for n in (0, 1, 1200)])
        np.testing.assert_allclose(loaded.predict(images)[[0, 1, 1200]], single, atol=1e-6)
        assert loaded.predict(images[:0]).shape == (0, 10)

    @pytest.mark.parametrize("load", [inference.load, inference.load_features])
    def test_a_file_that_is_no_model_is_one_line(
        self, load: Callable[..., Any], tmp_path: Path
    ) -> None:
        path = tmp_path / "model.onnx"
        path.write_bytes(b"\x08\x08" * 99)
        assert "cannot be read as ONNX model" in finding(DataError, lambda: load(path, threads=1))

    def test_a_model_of_something_else_is_one_line(self, written: Path) -> None:
        import onnx

        other = onnx.load(written)
        other.graph.input[0].type.tensor_type.shape.dim[1].dim_param = "any"
        onnx.save(other, written)
        message = finding(DataError, lambda: inference.load(written, threads=1))
        assert "a classifier has one input images uint8 (n, height, width)" in message
