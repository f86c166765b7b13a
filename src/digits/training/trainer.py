"""Trains a model of params.yaml, of Keras or of another framework."""

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from digits.models import model_file
from digits.training.recipe import Recipe
from imageproof.base import Dataset, Metrics, Probabilities
from imageproof.keras import checkpoints, costs, framework

if TYPE_CHECKING:
    from digits.params import Params
    from imageproof.features import predict
    from imageproof.judge import suspects


class Fitted(NamedTuple):
    """A fitted model, and how it is calibrated and written."""

    cost: costs.TrainingCost
    parameters: int
    write: "predict.Write"


def fit(
    params: "Params",
    model: str,
    data: Dataset,
    validation: Dataset,
    *,
    on_epoch: Callable[[int, Metrics], None],
    checkpoint: checkpoints.Checkpoint | None = None,
) -> Fitted:
    """Fit a model; see `keras_model.Training`, and docs/how-to/own-framework.md for others."""
    file = model_file(model)
    recipe = params.recipe(model)
    settings = params.common_settings()
    cost = costs.TrainingCost(on_epoch)
    if isinstance(recipe, Recipe):
        from digits.training import keras_model
        from imageproof.keras import export

        training = keras_model.Training(file, recipe, data, validation, **settings)
        network = training.run(cost, checkpoint)
        return Fitted(cost, int(network.count_params()), partial(export.write, network))
    from imageproof.features import predict

    threads = params.train.threads
    settings |= {"threads": threads, "on_epoch": cost}
    fitted, parameters = file.fit(recipe, data, validation, **settings)
    to_onnx = partial(file.network, fitted, data.images.shape[1:])
    return Fitted(cost, int(parameters), partial(predict.write_calibrated, to_onnx))


def load_framework(params: "Params", model: str) -> str:
    """Load TensorFlow if the model is Keras's; the devices it trains on, empty for another one."""
    recipe = params.recipe(model)
    if not isinstance(recipe, Recipe):
        return ""
    settings = params.train
    mixed = recipe.fit.mixed_precision
    return framework.load_tensorflow(settings.threads, settings.distribute, mixed=mixed)


def trainer(params: "Params", model: str) -> "suspects.Ask":
    """A function that trains the model on some images, and asks it for others."""
    load_framework(params, model)
    from imageproof.features import predict

    def ask(
        data: Dataset,
        images: Dataset,
        validation: Dataset | None = None,
    ) -> Probabilities:
        chosen_by = images if validation is None else validation
        fitted = fit(params, model, data, chosen_by, on_epoch=lambda *_: None)
        threads = params.train.threads
        return predict.ask_fitted(fitted.write, chosen_by, images.images, threads=threads)

    return ask
