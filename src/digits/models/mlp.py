"""`mlp`: the seed experiment's multilayer perceptron, 550,346 parameters on 28×28 images."""

from typing import Annotated

from pydantic import Field

from imageproof.base import Shape, StrictModel
from imageproof.keras import networks


class BuildParams(StrictModel):
    units: Annotated[list[networks.Count], Field(min_length=3, max_length=3)]
    dropout: Annotated[list[networks.Rate], Field(min_length=3, max_length=3)]


def build(
    params: BuildParams,
    *,
    image_shape: Shape,
    classes: int,
) -> networks.Model:
    """Three dense ReLU layers, each followed by dropout, and a softmax."""
    from keras import Sequential, layers

    return Sequential(
        [
            *networks.raw_pixels(image_shape),
            layers.Flatten(),
            *networks.dense_net(params.units, params.dropout),
            networks.probabilities(classes),
        ]
    )
