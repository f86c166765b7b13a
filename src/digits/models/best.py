"""`best`: the highest accuracy for the CNN's training time, an ensemble of compact networks."""

from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from digits.core.files import StrictModel
from digits.models._layers import Count, Rate, apply, compact_network, probabilities, raw_pixels

if TYPE_CHECKING:
    import keras


class BuildParams(StrictModel):
    """`train.best.build` in params.yaml."""

    kernels: Annotated[list[Count], Field(min_length=1)]  # of each member's first convolution
    filters: Annotated[list[Count], Field(min_length=4, max_length=4)]
    dropout: Rate


def build(params: BuildParams, *, image_shape: tuple[int, int], classes: int) -> "keras.Model":
    """One member for each kernel size in `kernels`, which its first convolution has.

    The output is (n, members, classes), so that each member is fitted by itself; the saved model
    averages them. Members fitted through their average would come to rely on each other.
    """
    from keras import Model, layers

    inputs, *scaling = raw_pixels(image_shape)
    pixels, members = apply(scaling, inputs), []
    for size in params.kernels:
        network = compact_network(
            params.filters, size, image_shape=image_shape, dropout=params.dropout
        )
        last = [probabilities(classes), layers.Reshape((1, classes), dtype="float32")]
        members.append(apply([*network, *last], pixels))
    return Model(inputs, layers.Concatenate(axis=1, dtype="float32")(members))
