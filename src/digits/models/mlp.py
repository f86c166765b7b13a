"""`mlp`: the seed experiment's multilayer perceptron, 550,346 parameters on 28×28 images."""

from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from digits.models._layers import Count, Rate, probabilities, raw_pixels

if TYPE_CHECKING:
    import keras


def build(
    *,
    image_shape: tuple[int, int],
    classes: int,
    units: Annotated[list[Count], Field(min_length=3, max_length=3)],
    dropout: Annotated[list[Rate], Field(min_length=3, max_length=3)],
) -> "keras.Model":
    """Three dense ReLU layers, each followed by dropout, and a softmax."""
    from keras import Sequential, layers

    return Sequential(
        [
            *raw_pixels(image_shape),
            layers.Flatten(),
            layers.Dense(units[0], activation="relu"),
            layers.Dropout(dropout[0]),
            layers.Dense(units[1], activation="relu"),
            layers.Dropout(dropout[1]),
            layers.Dense(units[2], activation="relu"),
            layers.Dropout(dropout[2]),
            probabilities(classes),
        ]
    )
