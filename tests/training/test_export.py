"""The ONNX model answers as the Keras model of the same training, for every model there is."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers import finding

from digits.models.finetune import SCALES
from imageproof.base import inference
from imageproof.base.dataset import Dataset, Shape
from imageproof.base.errors import ImageproofError

pytestmark = pytest.mark.usefixtures("tensorflow")

PRETRAINED = {"side": 32, "weights": None, "dropout": 0.0}
NETWORKS: dict[str, tuple[str, dict[str, Any]]] = {
    "mlp": ("mlp", {"units": [8, 8, 8], "dropout": [0.1] * 3}),
    "cnn": ("cnn", {"filters": [2, 3], "dense": 5, "dropout": [0.1, 0.1]}),
    "compact": ("compact", {"filters": [16, 16, 16, 16]}),
    **{name: ("finetune", {"backbone": name, **PRETRAINED}) for name in SCALES},
}


def network(name: str, *, shape: Shape = (8, 8)) -> Any:
    """A network with random weights, as it is after a fit."""
    import keras

    from digits.models import model_file
    from imageproof.keras.final_model import for_inference

    keras.utils.set_random_seed(1)
    model, params = NETWORKS[name]
    file = model_file(model)
    built = file.build(file.BuildParams(**params), image_shape=shape, classes=10)
    return for_inference(built)


@pytest.fixture(scope="module")
def calibrated(tensorflow: None, images_8x8: Dataset) -> Any:
    from imageproof.keras import export

    return export.calibrate(network("mlp"), images_8x8)


@pytest.fixture
def written(tmp_path: Path, calibrated: Any) -> Path:
    from imageproof.keras import export

    path = tmp_path / "model.onnx"
    export.write_onnx(calibrated.model, path)
    return path


def coloured(data: Dataset) -> Dataset:
    images = data.images
    return Dataset(np.stack([images, images[:, ::-1], images[:, :, ::-1]], -1), data.labels)


@pytest.mark.parametrize(
    ("name", "prepare"),
    [
        *((name, lambda data: data) for name in ("mlp", "cnn", "compact")),
        ("cnn", coloured),
        ("compact", coloured),
        *(pytest.param(name, coloured, marks=pytest.mark.slow) for name in SCALES),
    ],
)
def test_onnx_and_keras_give_the_same_probabilities(
    name: str, prepare: Callable[[Dataset], Dataset], tmp_path: Path, images_8x8: Dataset
) -> None:
    import keras

    from imageproof.keras import export

    data = prepare(images_8x8).take(np.arange(1000))
    path, saved = tmp_path / "model.onnx", tmp_path / "model.keras"
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
    if name not in SCALES:  # without weights, a backbone answers all classes alike
        assert decided.mean() > 0.5
        assert (answers != raw).any()


def test_the_features_are_the_input_of_the_last_layer(tmp_path: Path, images_8x8: Dataset) -> None:
    import keras

    from imageproof.keras import export

    model, path = network("cnn"), tmp_path / "model.onnx"
    export.write_onnx(model, path)
    hidden = keras.Model(model.inputs, model.layers[-1].input)
    expected = hidden.predict(images_8x8.images, verbose=0)
    features = inference.load_features(path, threads=1)
    np.testing.assert_allclose(features(images_8x8.images), expected, atol=1e-5)


def test_onnx_with_other_answers_is_refused(
    written: Path, calibrated: Any, images_8x8: Dataset
) -> None:
    from imageproof.keras import export

    def check(expected: np.ndarray) -> None:
        export.check_equal(written, expected, images_8x8, threads=1)

    check(calibrated.validation)
    changed = calibrated.validation.copy()
    changed[7] += 2e-4
    line = finding(ImageproofError, lambda: check(changed))
    assert "differ from Keras's by up to 0.0002, at most 0.0001 is allowed" in line


def test_equal_networks_are_equal_bytes(
    written: Path, calibrated: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import keras

    from imageproof.keras import export

    saved, later = tmp_path / "model.keras", tmp_path / "later.keras"
    export.write_keras(calibrated.model, saved)
    assert b"date_saved" not in saved.read_bytes()
    monkeypatch.setattr("time.time", lambda: 2e9)
    monkeypatch.setattr("time.localtime", lambda *_: (2033, 5, 18, 3, 33, 20, 2, 138, 0))
    export.write_keras(calibrated.model, later)
    assert later.read_bytes() == saved.read_bytes()
    export.write_onnx(keras.models.load_model(saved), tmp_path / "again.onnx")
    assert (tmp_path / "again.onnx").read_bytes() == written.read_bytes()


def test_place_in_memory_does_not_change_the_bytes(tmp_path: Path) -> None:
    import keras

    from imageproof.keras import export

    paths = [tmp_path / "one.keras", tmp_path / "other.keras"]
    for path in paths:
        policy = keras.DTypePolicy("float32")  # shared by both layers
        kinds = (keras.layers.Flatten, keras.layers.ReLU)
        layers = [kind(dtype=policy, name=kind.__name__) for kind in kinds]
        model = keras.Sequential([keras.Input((8, 8), name="image"), *layers], name="model")
        export.write_keras(model, path)
    first, second = (path.read_bytes() for path in paths)
    assert first == second
    assert keras.models.load_model(paths[0]).count_params() == 0


def test_any_number_of_images_is_answered(written: Path, images_8x8: Dataset) -> None:
    loaded, images = inference.load(written, threads=1), images_8x8.images
    assert (loaded.shape, loaded.classes) == ((8, 8), 10)
    assert len(images) > inference.BATCH
    rows = [0, 1, 1200]
    alone = np.concatenate([loaded.predict(images[row : row + 1]) for row in rows])
    np.testing.assert_allclose(loaded.predict(images)[rows], alone, atol=1e-6)
    assert loaded.predict(images[:0]).shape == (0, 10)
