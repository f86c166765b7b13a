"""`mlp`: the seed experiment's multilayer perceptron, 550,346 parameters on 28×28 images."""

from typing import Annotated

from pydantic import Field

from imageproof.base.dataset import Shape
from imageproof.base.files import StrictModel
from imageproof.keras.networks import Count, Model, Rate, dense_net, probabilities, raw_pixels


class BuildParams(StrictModel):
    units: Annotated[list[Count], Field(min_length=3, max_length=3)]
    dropout: Annotated[list[Rate], Field(min_length=3, max_length=3)]


def build(
    params: BuildParams,
    *,
    image_shape: Shape,
    classes: int,
) -> Model:
    """Three dense ReLU layers, each followed by dropout, and a softmax."""
    from keras import Sequential, layers

    return Sequential(
        [
            *raw_pixels(image_shape),
            layers.Flatten(),
            *dense_net(params.units, params.dropout),
            probabilities(classes),
        ]
    )
