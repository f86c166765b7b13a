"""What the models share: the type of their arguments, and raw pixels as their input."""

from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field

if TYPE_CHECKING:
    import keras

Count = Annotated[int, Field(ge=1)]
Rate = Annotated[float, Field(ge=0, lt=1)]


def raw_pixels(image_shape: tuple[int, int]) -> "list[keras.Layer | Any]":
    """Input layers from images (n, height, width) of 0…255 to float (n, height, width, 1) of 0…1.

    Scaling is part of the model, so training, evaluation and serving cannot differ in it.
    """
    from keras import Input, layers

    height, width = image_shape
    return [
        Input((height, width), dtype="uint8"),
        layers.Rescaling(1 / 255),
        layers.Reshape((height, width, 1)),
    ]
