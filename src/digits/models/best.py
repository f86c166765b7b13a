"""`best`: the highest accuracy, in three quarters of the CNN's time, by several networks."""

from typing import Annotated

from pydantic import Field

from imageproof.base.dataset import Shape
from imageproof.base.files import StrictModel
from imageproof.keras.layers import Count, Model, apply, compact_net, probabilities, raw_pixels


class BuildParams(StrictModel):
    kernels: Annotated[list[Count], Field(min_length=1)]  # of each member's first convolution
    filters: Annotated[list[Count], Field(min_length=4, max_length=4)]


def build(params: BuildParams, *, image_shape: Shape, classes: int) -> Model:
    """One member for each kernel size in `kernels`, which its first convolution has.

    The output is (n, members, classes), so that each member is fitted by itself; the saved model
    averages them. Members fitted through their average would come to rely on each other.
    """
    import keras

    inputs, *scaling = raw_pixels(image_shape)
    pixels, members = apply(scaling, inputs), []
    for size in params.kernels:
        network = compact_net(params.filters, size, image_shape=image_shape)
        last = [probabilities(classes), keras.layers.Reshape((1, classes), dtype="float32")]
        members.append(apply([*network, *last], pixels))
    joined = keras.layers.Concatenate(axis=1, dtype="float32")(members)
    return keras.Model(inputs, joined)
