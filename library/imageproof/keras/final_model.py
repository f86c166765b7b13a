"""The network that a training leaves: Keras's own layers in float32."""

import keras
from keras import layers

from imageproof.base import _inference
from imageproof.base.errors import UsageError
from imageproof.keras._normalization import FusedBatchNormalization

MAX_WEIGHTS = _inference.MAX_BYTES // 4  # bytes of a float32


def check_exportable(model: keras.Model) -> None:
    """Refuse before the fit a network that could not be written as ONNX, or read, after it."""
    count = model.count_params()
    if count > MAX_WEIGHTS:
        size = "×".join(map(str, model.input_shape[1:]))
        raise UsageError(
            f"the network has {count:,} weights, as images are {size}, and at most "
            f"{MAX_WEIGHTS:,} are allowed; lower data.image.size, or take it out of models"
        )
    for layer in model._flatten_layers():
        is_looped = isinstance(layer, layers.RNN) and not layer.unroll
        if is_looped and not isinstance(layer, layers.LSTM):
            raise UsageError(f"{layer.name}: {type(layer).__name__} needs unroll=True for ONNX")


def for_inference(model: keras.Model) -> keras.Model:
    """A copy in float32 and of Keras's own layers, not compiled."""
    copy = keras.models.clone_model(model, clone_function=_inference_layer)
    copy.set_weights(model.get_weights())
    # a new one: a clone is compiled as its model is, and an optimizer's state trebles the file
    return keras.Model(copy.inputs[0], copy.outputs[0])


def _inference_layer(layer: keras.Operation) -> keras.Operation:
    if not isinstance(layer, keras.Layer):
        return type(layer).from_config(layer.get_config())  # an operation such as x + 3
    kind = type(layer)
    if kind is FusedBatchNormalization:
        kind = layers.BatchNormalization
    config = layer.get_config() | {"dtype": "float32"}
    return kind.from_config(config)
