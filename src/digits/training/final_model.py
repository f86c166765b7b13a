"""The network that a training leaves: Keras's own layers in float32, averaged over views."""

import keras
from keras import layers

from digits.models._layers import Layers, apply, raster
from digits.models._normalization import FusedBatchNormalization
from digits.toolkit.errors import UsageError
from digits.training.fit import is_ensemble
from digits.training.recipe import SIDE, ViewParams


def check_exportable(model: keras.Model) -> None:
    """Refuse before the fit a network that could not be written as ONNX after it."""
    if not model.weights:
        raise UsageError("the network has no weights: there is nothing to train")
    for layer in model._flatten_layers():
        is_loop = isinstance(layer, layers.RNN) and not isinstance(layer, layers.LSTM)
        if is_loop and not layer.unroll:
            raise UsageError(f"{layer.name}: {type(layer).__name__} needs unroll=True for ONNX")


def for_inference(model: keras.Model) -> keras.Model:
    """A copy in float32 and of Keras's own layers, not compiled; of an ensemble, the mean."""
    copy = keras.models.clone_model(model, clone_function=_inference_layer)
    copy.set_weights(model.get_weights())
    [images], [probabilities] = copy.inputs, copy.outputs
    if is_ensemble(model):
        probabilities = layers.GlobalAveragePooling1D()(probabilities)
    # a new one: a clone is compiled as its model is, and an optimizer's state trebles the file
    return keras.Model(images, probabilities)


def over_views(model: keras.Model, *, by: ViewParams) -> keras.Model:
    """The model that averages this one over the views in `by`; this one itself without views."""
    shape = model.input_shape[1:]
    height, width = shape[:2]
    views = [*_shifted(round(by.shift * width / SIDE)), *_stretched(by.stretch, height, width)]
    if not views:
        return model
    # a stretched view has fractions of grey values, which uint8 would cut off
    fractions = keras.Input(shape, dtype="float32")
    network = keras.models.clone_model(model, fractions)
    network.set_weights(model.get_weights())
    image = keras.Input(shape, dtype="uint8")
    to_raster, to_image = layers.Reshape(raster(shape)), layers.Reshape(shape)
    pixels = to_raster(image)
    images = [image, *(to_image(apply(view, pixels)) for view in views)]
    # said for the export to ONNX, which else writes a model within a model as in training
    answers = [network(view, training=False) for view in images]
    return keras.Model(image, layers.Average()(answers))


def _inference_layer(layer: keras.Operation) -> keras.Operation:
    if not isinstance(layer, keras.Layer):
        return type(layer).from_config(layer.get_config())  # an operation such as x + 3
    fused = isinstance(layer, FusedBatchNormalization)
    kind = layers.BatchNormalization if fused else type(layer)
    return kind.from_config({**layer.get_config(), "dtype": "float32"})


def _shifted(pixels: int) -> list[Layers]:
    return [
        [layers.ZeroPadding2D((0, (before, after))), layers.Cropping2D((0, (after, before)))]
        for before, after in ((pixels, 0), (0, pixels))
        if pixels
    ]


def _stretched(fraction: float, height: int, width: int) -> list[Layers]:
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
