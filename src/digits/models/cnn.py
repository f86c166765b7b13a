"""`cnn`: the seed experiment's convolutional network, 1,199,882 parameters on 28×28 images."""

from typing import Annotated

from pydantic import Field

from imageproof.base import Shape, StrictModel
from imageproof.keras import networks


class BuildParams(StrictModel):
    filters: Annotated[list[networks.Count], Field(min_length=2, max_length=2)]
    dense: networks.Count
    dropout: Annotated[list[networks.Rate], Field(min_length=2, max_length=2)]


def build(
    params: BuildParams,
    *,
    image_shape: Shape,
    classes: int,
) -> networks.Model:
    """Two 3×3 convolutions, max-pooling, dropout, a dense layer, dropout, and a softmax."""
    from keras import Sequential, layers

    return Sequential(
        [
            *networks.raw_pixels(image_shape),
            layers.Conv2D(params.filters[0], 3, activation="relu"),
            layers.Conv2D(params.filters[1], 3),
            layers.MaxPooling2D(2),
            layers.ReLU(),  # after pooling: the same values for a quarter of the work
            layers.Dropout(params.dropout[0]),
            layers.Flatten(),
            layers.Dense(params.dense, activation="relu"),
            layers.Dropout(params.dropout[1]),
            networks.probabilities(classes),
        ]
    )
