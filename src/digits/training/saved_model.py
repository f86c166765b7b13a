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
        UsageError: it has no weights, a layer that becomes a loop in ONNX, or weights last in a
            model within it that does not take the image itself.
    """
    findings = [
        f"{layer.name}: {type(layer).__name__} needs unroll=True for ONNX"
        for layer in _layers(model)
        if isinstance(layer, keras.layers.RNN)
        and not isinstance(layer, keras.layers.LSTM)
        and not layer.unroll
    ]
    layers = [layer for layer in model.layers if not isinstance(layer, keras.layers.InputLayer)]
    weighted = [layer for layer in layers if layer.weights]
    if not weighted:
        findings.append("no layer has weights: there is nothing to train")
    elif isinstance(weighted[-1], keras.Model) and weighted[-1] is not layers[0]:
        name = weighted[-1].name
        findings.append(f"{name}: a model within the model must take the image itself")
    if findings:
        raise UsageError(*(f"the network cannot be exported: {finding}" for finding in findings))


def _layers(layer: keras.Layer) -> list[keras.Layer]:
    """This layer, or those of a model; of a bidirectional one that for forward."""
    layer = getattr(layer, "forward_layer", layer)
    return [each for inner in getattr(layer, "layers", []) for each in _layers(inner)] or [layer]


def for_inference(model: keras.Model) -> keras.Model:
    """A copy in float32 and of Keras's own layers, so that it loads and runs anywhere.

    An ensemble's copy returns the mean over its members. The copy is not compiled: an
    optimizer's state would double or treble the file.
    """
    copy = keras.models.clone_model(model, clone_function=_inference_layer)
    copy.set_weights(model.get_weights())
    [images], [probabilities] = copy.inputs, copy.outputs
    if is_ensemble(model):
        probabilities = keras.layers.GlobalAveragePooling1D()(probabilities)
    return keras.Model(images, probabilities)  # a new one: a clone is compiled as its model is


def is_ensemble(model: keras.Model) -> bool:
    """Whether the output is (n, members, classes)."""
    return len(model.output_shape) == 3


def save(model: keras.Model, path: Path) -> None:
    """Write the model as `.keras`, atomically.

    Keras writes the date and memory addresses into the archive, which would make equal models
    different files for DVC; they are left out.
    """
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
