"""`best`: the highest accuracy in the time of the CNN, several networks like `compact` in one."""

from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from digits.models._layers import Count, Rate, compact_network, probabilities, raw_pixels, through

if TYPE_CHECKING:
    import keras


def build(
    *,
    image_shape: tuple[int, int],
    classes: int,
    kernels: Annotated[list[Count], Field(min_length=1)],
    filters: Annotated[list[Count], Field(min_length=4, max_length=4)],
    dropout: Rate,
) -> "keras.Model":
    """One member for each size in `kernels`, that of its first convolution.

    The output is (n, members, classes): each member learns by itself, and what is kept after the
    training averages them. Trained on their average, they would come to rely on each other.
    """
    from keras import Model, layers

    inputs, *scaling = raw_pixels(image_shape)
    pixels = through(scaling, inputs)
    members = [
        through(
            [
                *compact_network(filters, size, image_shape=image_shape, dropout=dropout),
                probabilities(classes),
                layers.Reshape((1, classes), dtype="float32"),
            ],
            pixels,
        )
        for size in kernels
    ]
    return Model(inputs, layers.Concatenate(axis=1, dtype="float32")(members))
