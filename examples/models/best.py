"""`best`: the highest accuracy, in three quarters of the CNN's time, by several networks."""

from typing import Annotated, Any

from pydantic import Field

from imageproof.base import Shape, StrictModel
from imageproof.keras import networks


class BuildParams(StrictModel):
    """`train.best.build` in params.yaml."""

    # of each member's first convolution
    kernels: Annotated[list[networks.Count], Field(min_length=1)]
    filters: Annotated[list[networks.Count], Field(min_length=4, max_length=4)]


def build(params: BuildParams, *, image_shape: Shape, classes: int) -> networks.Model:
    """The mean answer of several networks, one for each kernel size in `kernels`."""
    from keras import layers

    inputs, *scaling = networks.raw_pixels(image_shape)
    pixels = networks.apply(scaling, inputs)
    members = []
    for size in params.kernels:
        network = networks.compact_net(params.filters, size, image_shape=image_shape)
        last = [networks.probabilities(classes), layers.Reshape((1, classes), dtype="float32")]
        members.append(networks.apply([*network, *last], pixels))
    return _ensemble(inputs, layers.Concatenate(axis=1, dtype="float32")(members))


def _ensemble(inputs: Any, answers: Any) -> networks.Model:
    """The mean of answers (n, members, classes); each member is fitted to the labels by itself.

    Members fitted through their mean would come to rely on each other.
    """
    import keras

    apart = keras.Model(inputs, answers)
    members = answers.shape[1]

    class Ensemble(keras.Model):  # type: ignore[misc]
        def call(self, images: Any, training: bool | None = None, mask: Any = None) -> Any:
            self.answers = apart(images, training=training)
            return keras.ops.mean(self.answers, axis=1)

        def compute_loss(
            self, x: Any, y: Any, y_pred: Any, sample_weight: Any = None, training: bool = True
        ) -> Any:
            labels = keras.ops.repeat(y[:, None], members, axis=1)
            if sample_weight is not None:
                sample_weight = keras.ops.repeat(sample_weight, members, axis=1)
            return super().compute_loss(x, labels, self.answers, sample_weight, training)

    mean = keras.layers.GlobalAveragePooling1D(dtype="float32")(answers)
    return Ensemble(inputs, mean)
