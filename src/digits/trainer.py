"""Trains a model of params.yaml on some images and asks it for others, as `suspects` does."""

import logging
from typing import TYPE_CHECKING

from digits.models import model_file
from digits.params import Params
from digits.training.recipe import Recipe
from imageproof.base.dataset import Dataset, Probabilities
from imageproof.base.errors import UsageError
from imageproof.system.process import quiet_tensorflow

if TYPE_CHECKING:
    from imageproof.judge.suspects import Ask


def trainer(settings: Params, model: str) -> "Ask":
    """A function that trains the model and asks it; a UsageError if it is not one of Keras."""
    recipe = settings.recipe(model)
    if not isinstance(recipe, Recipe):
        raise UsageError(f"--model {model}: is not of Keras; name one that is")
    logging.getLogger("tensorflow").setLevel(logging.ERROR)  # it warns of the graph of each fold
    with quiet_tensorflow(settings.train.threads):
        from digits.training import keras_model
        from imageproof.keras import export
        from imageproof.keras.cost import TrainingCost

    def ask(data: Dataset, held_out: Dataset) -> Probabilities:
        training = keras_model.Training(
            model_file(model),
            recipe,
            data,
            held_out,
            **settings.common_settings(),
        )
        network = training.run(TrainingCost(lambda *_: None))
        return export.calibrate(network, held_out).validation

    return ask
