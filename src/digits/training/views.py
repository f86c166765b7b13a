"""Test-time augmentation: a model that returns its mean over several views of an image."""

import keras
from keras import layers

from digits.models._layers import apply
from digits.training.recipe import SIDE, ViewParams

View = list[keras.Layer]  # from and to a raster (n, height, width, 1)


def over_views(model: keras.Model, *, by: ViewParams) -> keras.Model:
    """The model that averages this one over the views in `by`; this one itself without views.

    Both take images uint8 (n, height, width). What a view leaves empty is 0.
    """
    height, width = model.input_shape[1:]
    views = [*_shifted(round(by.shift * width / SIDE)), *_stretched(by.stretch, height, width)]
    if not views:
        return model
    # a stretched view has fractions of grey values, which uint8 would cut off
    fractions = keras.Input((height, width), dtype="float32")
    network = keras.models.clone_model(model, fractions)
    network.set_weights(model.get_weights())
    image = keras.Input((height, width), dtype="uint8")
    to_raster, to_image = layers.Reshape((height, width, 1)), layers.Reshape((height, width))
    raster = to_raster(image)
    images = [image, *(to_image(apply(view, raster)) for view in views)]
    # said for the export to ONNX, which else writes a model within a model as in training
    answers = [network(view, training=False) for view in images]
    return keras.Model(image, layers.Average()(answers))


def _shifted(pixels: int) -> list[View]:
    """Shifted right, and shifted left."""
    return [
        [layers.ZeroPadding2D((0, (before, after))), layers.Cropping2D((0, (after, before)))]
        for before, after in ((pixels, 0), (0, pixels))
        if pixels
    ]


def _stretched(fraction: float, height: int, width: int) -> list[View]:
    """Wider and lower, and narrower and higher."""
    y, x = round(fraction * height / 2), round(fraction * width / 2)
    return [
        [
            layers.Resizing(height + 2 * dy, width + 2 * dx),
            layers.ZeroPadding2D((max(-dy, 0), max(-dx, 0))),
            layers.Cropping2D((max(dy, 0), max(dx, 0))),
        ]
        for dy, dx in ((-y, x), (y, -x))
        if x or y
    ]
