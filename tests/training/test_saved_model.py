"""Models on disk: equal models are equal bytes, and what is no model is one line."""

import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support import finding

from digits.core.dataset import Dataset
from digits.core.errors import DataError

pytestmark = pytest.mark.usefixtures("tensorflow")


@pytest.fixture(scope="module")
def model(tensorflow: None) -> Any:
    from digits.models import build_params, builder

    params = build_params("mlp")(units=[8, 8, 8], dropout=[0.1] * 3)
    return builder("mlp")(params, image_shape=(8, 8), classes=10)


@pytest.fixture
def saved(tmp_path: Path, model: Any) -> Path:
    from digits.training import saved_model

    path = tmp_path / "model.keras"
    saved_model.save(model, path)
    return path


def refused(path: Path) -> str:
    from digits.training import keras_inference

    return finding(DataError, lambda: keras_inference.load(path))


def rewrite(path: Path, **members: bytes | None) -> None:
    """Replace members of the archive; None leaves one out."""
    with zipfile.ZipFile(path) as archive:
        content = {name: archive.read(name) for name in archive.namelist()}
    changes = {name.replace("_json", ".json"): new for name, new in members.items()}
    with zipfile.ZipFile(path, "w") as archive:
        for name, new in (content | changes).items():
            if new is not None:
                archive.writestr(name, new)


def test_it_predicts_what_it_predicted(saved: Path, model: Any, digits_8x8: Dataset) -> None:
    from digits.training import keras_inference

    networks = (keras_inference.load(saved), model)
    loaded, before = (keras_inference.predictor(network) for network in networks)
    np.testing.assert_array_equal(loaded(digits_8x8.images), before(digits_8x8.images))


def test_the_hour_of_saving_does_not_change_the_bytes(
    saved: Path, tmp_path: Path, model: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from digits.training import saved_model

    monkeypatch.setattr("time.time", lambda: 2e9)
    monkeypatch.setattr("time.localtime", lambda *_: (2033, 5, 18, 3, 33, 20, 2, 138, 0))
    saved_model.save(model, tmp_path / "later.keras")
    assert (tmp_path / "later.keras").read_bytes() == saved.read_bytes()
    assert b"date_saved" not in saved.read_bytes()


def test_the_place_of_objects_in_memory_does_not_change_the_bytes(tmp_path: Path) -> None:
    import keras

    from digits.training import keras_inference, saved_model

    for name in ("one", "other"):
        policy = keras.DTypePolicy("float32")  # shared by both layers
        layers = [
            kind(dtype=policy, name=kind.__name__)
            for kind in (keras.layers.Flatten, keras.layers.ReLU)
        ]
        model = keras.Sequential([keras.Input((8, 8), name="image"), *layers], name="model")
        saved_model.save(model, tmp_path / f"{name}.keras")
    assert (tmp_path / "one.keras").read_bytes() == (tmp_path / "other.keras").read_bytes()
    assert keras_inference.load(tmp_path / "one.keras").count_params() == 0


def test_a_failed_save_leaves_the_old_model(
    saved: Path, model: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from digits.training import saved_model

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    before = saved.read_bytes()
    monkeypatch.setattr(zipfile.ZipFile, "writestr", full)
    with pytest.raises(OSError, match="No space left"):
        saved_model.save(model, saved)
    assert saved.read_bytes() == before
    assert [path.name for path in saved.parent.iterdir()] == [saved.name]


def test_a_model_with_code_inside_is_never_read(tmp_path: Path) -> None:
    import keras

    path = tmp_path / "code.keras"
    keras.Sequential([keras.Input((8, 8)), keras.layers.Lambda(lambda x: x + 1)]).save(path)
    assert "Lambda" in refused(path)


def test_a_missing_model_is_one_line(tmp_path: Path) -> None:
    assert refused(tmp_path / "model.keras").startswith(f"{tmp_path}/model.keras: no Keras model")


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04", b"\x89HDF\r\n\x1a\n"])
def test_a_file_that_is_no_model_is_one_line(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "model.keras").write_bytes(content)
    assert refused(tmp_path / "model.keras").startswith(f"{tmp_path}/model.keras: no Keras model")


def test_a_model_cut_off_is_one_line(saved: Path) -> None:
    saved.write_bytes(saved.read_bytes()[:-200])
    assert refused(saved).startswith(f"{saved}: no Keras model")


@pytest.mark.parametrize("config", [None, b"", b'{"class_name": "No"}'])
def test_a_model_without_a_sound_description_is_one_line(saved: Path, config: bytes) -> None:
    rewrite(saved, config_json=config)
    assert refused(saved).startswith(f"{saved}: no Keras model")
