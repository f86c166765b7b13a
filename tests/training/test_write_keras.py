"""Models on disk: equal models are equal bytes, and what is no model is one line."""

from pathlib import Path

import pytest

pytestmark = pytest.mark.usefixtures("tensorflow")


def test_the_hour_of_saving_does_not_change_the_bytes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from digits.models import model_file
    from imageproof.keras import export

    mlp, saved = model_file("mlp"), tmp_path / "now.keras"
    params = mlp.BuildParams(units=[8, 8, 8], dropout=[0.1] * 3)
    model = mlp.build(params, image_shape=(8, 8), classes=10)
    export.write_keras(model, saved)
    monkeypatch.setattr("time.time", lambda: 2e9)
    monkeypatch.setattr("time.localtime", lambda *_: (2033, 5, 18, 3, 33, 20, 2, 138, 0))
    export.write_keras(model, tmp_path / "later.keras")
    assert (tmp_path / "later.keras").read_bytes() == saved.read_bytes()
    assert b"date_saved" not in saved.read_bytes()


def test_the_place_of_objects_in_memory_does_not_change_the_bytes(tmp_path: Path) -> None:
    import keras

    from imageproof.keras import export

    for name in ("one", "other"):
        policy = keras.DTypePolicy("float32")  # shared by both layers
        layers = [
            kind(dtype=policy, name=kind.__name__)
            for kind in (keras.layers.Flatten, keras.layers.ReLU)
        ]
        model = keras.Sequential([keras.Input((8, 8), name="image"), *layers], name="model")
        export.write_keras(model, tmp_path / f"{name}.keras")
    assert (tmp_path / "one.keras").read_bytes() == (tmp_path / "other.keras").read_bytes()
    assert keras.models.load_model(tmp_path / "one.keras").count_params() == 0
