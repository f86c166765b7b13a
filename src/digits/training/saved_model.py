"""The file of a trained model: Keras's own layers in float32, and equal bytes for equal models."""

import json
import re
import zipfile
from pathlib import Path

import keras

from digits.core.files import replacing
from digits.models._normalization import FusedBatchNormalization


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
        members = _members(temporary)
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


def _members(path: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}
