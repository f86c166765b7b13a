"""The file of a trained model: Keras's own layers in float32, and equal bytes for equal models."""

import json
import re
import zipfile
from pathlib import Path

import keras

from digits.core.errors import UsageError
from digits.core.files import replacing
from digits.models._normalization import FusedBatchNormalization


def check_exportable(model: keras.Model) -> None:
    """Refuse before the fit a network that could not be written as ONNX after it.

    Raises:
        UsageError: it has no weights, or a layer that becomes a loop in ONNX.
    """
    if not model.weights:
        raise UsageError("the network has no weights: there is nothing to train")
    for layer in _layers(model):
        is_loop = isinstance(layer, keras.layers.RNN) and not isinstance(layer, keras.layers.LSTM)
        if is_loop and not layer.unroll:
            raise UsageError(f"{layer.name}: {type(layer).__name__} needs unroll=True for ONNX")


def _layers(layer: keras.Layer) -> list[keras.Layer]:
    """This layer, or those of a model; of a bidirectional one that for forward."""
    layer = getattr(layer, "forward_layer", layer)
    return [each for inner in getattr(layer, "layers", []) for each in _layers(inner)] or [layer]


def for_inference(model: keras.Model) -> keras.Model:
    """A copy in float32 and of Keras's own layers, not compiled; of an ensemble, the mean."""
    copy = keras.models.clone_model(model, clone_function=_inference_layer)
    copy.set_weights(model.get_weights())
    [images], [probabilities] = copy.inputs, copy.outputs
    if is_ensemble(model):
        probabilities = keras.layers.GlobalAveragePooling1D()(probabilities)
    # a new one: a clone is compiled as its model is, and an optimizer's state trebles the file
    return keras.Model(images, probabilities)


def is_ensemble(model: keras.Model) -> bool:
    """Whether the output is (n, members, classes)."""
    return len(model.output_shape) == 3


def save(model: keras.Model, path: Path) -> None:
    """Write the model as `.keras`, without Keras's date and memory addresses: equal bytes."""
    with replacing(path) as temporary:
        model.save(temporary)
        with zipfile.ZipFile(temporary) as archive:
            members = {name: archive.read(name) for name in archive.namelist()}
        metadata = json.loads(members["metadata.json"])
        metadata.pop("date_saved", None)
        members["metadata.json"] = json.dumps(metadata).encode()
        members["config.json"] = _without_addresses(members["config.json"])
        with zipfile.ZipFile(temporary, "w") as archive:
            for name in sorted(members):
                archive.writestr(zipfile.ZipInfo(name), members[name])


def _inference_layer(layer: keras.Layer) -> keras.Layer:
    fused = isinstance(layer, FusedBatchNormalization)
    kind = keras.layers.BatchNormalization if fused else type(layer)
    return kind.from_config({**layer.get_config(), "dtype": "float32"})


def _without_addresses(config: bytes) -> bytes:
    """Number the objects that layers share by first appearance; Keras uses memory addresses."""
    shared = rb'"shared_object_id": (\d+)'
    addresses = list(dict.fromkeys(re.findall(shared, config)))
    return re.sub(shared, lambda m: b'"shared_object_id": %d' % addresses.index(m[1]), config)
