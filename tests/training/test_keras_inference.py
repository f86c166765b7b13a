"""A model as a function: what Keras's own `predict` says, for any number of images."""

from typing import Any

import numpy as np
import pytest

from digits.core.dataset import Dataset

pytestmark = pytest.mark.usefixtures("tensorflow")

BUILDS: dict[str, dict[str, Any]] = {
    "mlp": {"units": [8, 8, 8], "dropout": [0.1] * 3},
    "compact": {"filters": [16, 16, 16, 16], "dropout": 0.3},
}


@pytest.fixture(scope="module", params=BUILDS)
def model(tensorflow: None, request: pytest.FixtureRequest) -> Any:
    from digits.models import build_params, builder

    params = build_params(request.param)(**BUILDS[request.param])
    return builder(request.param)(params, image_shape=(8, 8), classes=10)


def test_it_says_what_keras_says(model: Any, digits_8x8: Dataset) -> None:
    from digits.training import keras_inference

    images = digits_8x8.images
    assert len(images) > keras_inference.BATCH
    expected = model.predict(images, batch_size=keras_inference.BATCH, verbose=0)
    np.testing.assert_array_equal(keras_inference.predictor(model)(images), expected)


def test_predictions_do_not_depend_on_how_many_are_asked_for(
    model: Any, digits_8x8: Dataset
) -> None:
    from digits.training import keras_inference

    predict = keras_inference.predictor(model)
    all_at_once = predict(digits_8x8.images)
    assert all_at_once.shape == (1797, 10)
    assert all_at_once.dtype == np.float32
    np.testing.assert_allclose(predict(digits_8x8.images[:3]), all_at_once[:3], rtol=1e-5)


def test_of_no_images_there_are_no_predictions(model: Any, digits_8x8: Dataset) -> None:
    from digits.training import keras_inference

    assert keras_inference.predictor(model)(digits_8x8.images[:0]).shape == (0, 10)


def test_one_graph_answers_any_number_of_images(
    model: Any, digits_8x8: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    from digits.training import keras_inference

    traced, call = [], type(model).call

    def counted(*arguments: Any, **options: Any) -> Any:
        traced.append(arguments)
        return call(*arguments, **options)

    monkeypatch.setattr(type(model), "call", counted)
    predict = keras_inference.predictor(model)
    for count in (1, 2, 1500):
        predict(digits_8x8.images[:count])
    assert len(traced) == 1
