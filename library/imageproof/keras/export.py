"""A trained network made ready to answer: calibrated, written to files, and proved equal."""

import json
import logging
import re
import warnings
import zipfile
from pathlib import Path

import keras
import numpy as np
import onnx

from imageproof.base import _inference
from imageproof.base._dataset import Dataset, Probabilities
from imageproof.base._inference import FEATURES, IMAGES, PROBABILITIES, TOLERANCE
from imageproof.base._temperature import fit_temperature
from imageproof.base.errors import ImageproofError
from imageproof.base.files import replacing
from imageproof.keras.batching import in_order
from imageproof.outputs import TrainOutputs


def calibrate(model: keras.Model, validation: Dataset) -> tuple[keras.Model, float, Probabilities]:
    """Fold the temperature that fits the validation rows best into a copy of the network.

    Returns the copy, the temperature, and its probabilities of the validation rows.

    softmax(log p / T) keeps the order of p; `log p` stands for the logits, which a mean of
    several networks does not have (they differ by one number per row, which softmax cancels).
    """
    batches = in_order(validation, classes=model.output_shape[1])
    fitted = model.predict(batches, verbose=0)
    temperature = fit_temperature(fitted, validation.labels)
    scale = keras.layers.Rescaling(1 / temperature, name="temperature")
    softmax = keras.layers.Softmax(name=PROBABILITIES)
    logits = keras.ops.log(model.outputs[0])
    scaled = keras.Model(model.inputs, softmax(scale(logits)))
    answers = scaled.predict(batches, verbose=0)
    return scaled, temperature, answers


def write(
    model: keras.Model,
    outputs: TrainOutputs,
    validation: Dataset,
    *,
    threads: int,
) -> tuple[float, Probabilities]:
    """Calibrate a fitted network, write it in both formats, and prove that they answer alike.

    Returns its temperature, and its probabilities of the validation rows, float32 (n, classes).
    """
    scaled, temperature, answers = calibrate(model, validation)
    write_keras(scaled, outputs.keras)
    write_onnx(scaled, outputs.model)
    check_equal(outputs.model, answers, validation, threads=threads)
    return temperature, answers


def write_keras(model: keras.Model, path: Path) -> None:
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


def write_onnx(model: keras.Model, path: Path) -> None:
    """Write the network as ONNX: from `images` uint8 (n, *shape) to `probabilities`.

    The tensor `features` in it is the last hidden layer, float32 (n, k). Equal networks give
    equal bytes: the exporter names tensors by counters and orders constants by their hash.
    """
    both = _with_features(model)
    # it logs a traceback where it cannot simplify a sum such as x + 3, and goes on without
    logging.getLogger("tf2onnx").setLevel(logging.CRITICAL)
    with replacing(path) as temporary:
        with warnings.catch_warnings(category=FutureWarning, action="ignore"):  # tf2onnx on NumPy 2
            images = keras.InputSpec(dtype="uint8", shape=model.input_shape, name=IMAGES)
            both.export(temporary, format="onnx", verbose=False, input_signature=[images])
        network = onnx.load(temporary)
        _normalise(network.graph)
        onnx.checker.check_model(network)
        onnx.save(network, temporary)


def _with_features(model: keras.Model) -> keras.Model:
    """A model of the same layers whose outputs are `probabilities` and `features`."""
    # the input of the last layer that has weights; of several networks, the last one's
    last = [layer for layer in model.layers if layer.weights][-1]
    flatten = keras.layers.Flatten(name=FEATURES)
    outputs = {PROBABILITIES: model.outputs[0], FEATURES: flatten(last.input)}
    named = keras.Model(model.inputs, outputs)
    # Keras exports some networks as they are in training unless this is set
    answers = named(model.inputs[0], training=False)
    return keras.Model(model.inputs, answers)


def check_equal(
    path: Path,
    expected: Probabilities,
    validation: Dataset,
    *,
    threads: int,
) -> None:
    """Refuse an ONNX file that answers the validation rows other than Keras, as `expected`."""
    network = _inference.load(path, threads=threads)
    answers = network.predict(validation.images)
    largest = float(np.abs(answers - expected).max())
    if not largest <= TOLERANCE:  # false for NaN
        raise ImageproofError(
            f"{path}: ONNX Runtime's probabilities of the validation rows differ from Keras's by "
            f"up to {largest:.2g}, at most {TOLERANCE:g} is allowed; lower the "
            "learning rate if its loss is large, or build it of other layers"
        )


def _without_addresses(config: bytes) -> bytes:
    """Number the objects that layers share by first appearance; Keras uses memory addresses."""
    pattern = rb'(?<="shared_object_id": )\d+'
    addresses = dict.fromkeys(re.findall(pattern, config))
    numbers = {address: b"%d" % number for number, address in enumerate(addresses)}
    return re.sub(pattern, lambda match: numbers[match[0]], config)


def _normalise(graph: onnx.GraphProto) -> None:
    """Leave only the output `probabilities`; order nodes and constants by use, number them."""
    nodes = _in_order(graph)
    names = dict.fromkeys(name for node in nodes for name in (*node.input, *node.output))
    new_names = {name: f"tensor_{number}" for number, name in enumerate(names)}
    new_names |= {name: name for name in (IMAGES, PROBABILITIES, FEATURES, "")}
    for node in nodes:
        node.name = ""
        node.input[:] = [new_names[name] for name in node.input]
        node.output[:] = [new_names[name] for name in node.output]

    constants = {constant.name: constant for constant in graph.initializer}
    used_constants = [constants[name] for name in names if name in constants]
    for constant in used_constants:
        constant.name = new_names[constant.name]
    inputs = [*graph.input]
    outputs = [output for output in graph.output if output.name == PROBABILITIES]
    for tensor in (*inputs, *outputs):
        tensor.type.tensor_type.shape.dim[0].dim_param = "n"
    ordered = onnx.helper.make_graph(nodes, "classifier", inputs, outputs, used_constants)
    graph.CopyFrom(ordered)


def _in_order(graph: onnx.GraphProto) -> list[onnx.NodeProto]:
    """The nodes that lead to the outputs, each after those that it needs."""
    makers = {name: node for node in graph.node for name in node.output}
    ordered: list[onnx.NodeProto] = []
    names = sorted(output.name for output in graph.output)  # a stack: networks may be deep
    while names:
        node = makers.get(names[-1])
        if node and (inputs := [name for name in node.input if name in makers]):
            names += inputs
            continue
        names.pop()
        if node:
            ordered.append(node)
            for name in node.output:
                makers.pop(name, None)
    return ordered
