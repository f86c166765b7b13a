"""`mlp_pca`: the multilayer perceptron on principal components, 213,788 parameters on 28×28."""

from typing import Annotated

import numpy as np
from pydantic import Field

from imageproof.base import Images, Shape, StrictModel, errors
from imageproof.keras import networks

SAMPLE = 10_000  # images


class BuildParams(StrictModel):
    """`train.mlp_pca.build` in params.yaml."""

    components: networks.Count
    units: Annotated[list[networks.Count], Field(min_length=3, max_length=3)]
    dropout: Annotated[list[networks.Rate], Field(min_length=3, max_length=3)]


def build(params: BuildParams, *, image_shape: Shape, classes: int) -> networks.Model:
    """A projection that is not trained, which `adapt` sets; three dense layers, and a softmax."""
    from keras import Sequential, layers

    zeros = {"kernel_initializer": "zeros", "trainable": False, "dtype": "float32"}
    return Sequential(
        [
            *networks.raw_pixels(image_shape),
            layers.Flatten(),
            layers.Dense(params.components, name="pca", **zeros),
            *networks.dense_net(params.units, params.dropout),
            networks.probabilities(classes),
        ]
    )


def adapt(model: networks.Model, images: Images) -> None:
    """Set the projection to the principal components of the training images uint8 (n, …).

    Of more than 10,000 they are those of 10,000 drawn with a fixed seed. A UsageError if there are
    fewer than asked for.
    """
    from sklearn.decomposition import PCA

    rows = np.random.default_rng(0).permutation(len(images))[:SAMPLE]
    pixels = images[np.sort(rows)].reshape(len(rows), -1) / np.float32(255)
    projection = model.get_layer("pca")
    if projection.units > (most := min(pixels.shape)):
        finding = f"build.components: {projection.units} of {len(rows)} images"
        raise errors.UsageError(
            f"{finding} of {pixels.shape[1]} values; at most {most} are allowed"
        )
    fitted = PCA(projection.units, random_state=0).fit(pixels)
    projection.set_weights([fitted.components_.T, -fitted.mean_ @ fitted.components_.T])
