"""`cnn`: the seed experiment's convolutional network, 1,199,882 parameters on 28×28 images."""

from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from digits.models._layers import Count, Rate, probabilities, raw_pixels

if TYPE_CHECKING:
    import keras


def build(
    *,
    image_shape: tuple[int, int],
    classes: int,
    filters: Annotated[list[Count], Field(min_length=2, max_length=2)],
    dense: Count,
    dropout: Annotated[list[Rate], Field(min_length=2, max_length=2)],
) -> "keras.Model":
    """Two 3×3 convolutions, max-pooling, dropout, a dense layer, dropout, and a softmax."""
    from keras import Sequential, layers

    return Sequential(
        [
            *raw_pixels(image_shape),
            layers.Conv2D(filters[0], 3, activation="relu"),
            layers.Conv2D(filters[1], 3, activation="relu"),
            layers.MaxPooling2D(2),
            layers.Dropout(dropout[0]),
            layers.Flatten(),
            layers.Dense(dense, activation="relu"),
            layers.Dropout(dropout[1]),
            probabilities(classes),
        ]
    )
