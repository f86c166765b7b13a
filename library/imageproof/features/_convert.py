"""Brings an ONNX network of another library into the form of a backbone."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import onnx
from onnx import ModelProto, TensorProto, ValueInfoProto, compose

from imageproof.base._dataset import Shape
from imageproof.base._inference import FEATURES, IMAGES, read_content
from imageproof.base.errors import DataError, UsageError
from imageproof.base.files import parsing, replacing
from imageproof.features._backbone import (
    OPSET,
    backbone_path,
    check_form,
    extractor,
    parse_network,
)
from imageproof.features._graph import joined, parsed

PREFIX = "network/"
CHANNELS_FIRST = (2, 3)  # the axes of height and width in (n, channels, height, width)
CHANNELS_LAST = (1, 2)


class Form(NamedTuple):
    """What a network takes and gives: images of side × side pixels whose values, 0…1, are
    `(value - mean) / std` per channel; its tensor `output`, or its only output, with `pool` the
    mean over height and width.
    """

    side: int
    mean: Sequence[float]
    std: Sequence[float]
    output: str | None
    pool: bool


def per_channel(option: str, text: str) -> list[float]:
    """One number for all channels, or one for each, as the option got them; else a UsageError."""
    try:
        numbers = [float(number) for number in text.split(",")]
    except ValueError:
        numbers = []
    finite = [number for number in numbers if 0 <= number <= 1 and (number or option != "--std")]
    if len(numbers) not in (1, 3) or finite != numbers:
        raise UsageError(f"{option} {text}: one number of 0…1 is needed, or three as 0.5,0.4,0.4")
    return numbers


def write_backbone(path: Path, form: Form) -> Path:
    """Write backbones/NAME.onnx of the network in this file; returns its path.

    A DataError if the network is damaged, or has another form.
    """
    plain_name = re.sub(r"[^A-Za-z0-9_.-]+", "-", path.stem).strip("-_.")  # for params.yaml
    target = backbone_path(plain_name or "backbone")
    if target.resolve() == path.resolve():
        raise UsageError(f"{path}: would be replaced; move it to another folder")
    model = converted(path, form)
    check_form(model, path)
    with replacing(target) as temporary:
        onnx.save(model, temporary)
    return target


def converted(path: Path, form: Form) -> ModelProto:
    """The network between images uint8 (n, side, side, 3) and features float32 (n, k)."""
    model = _with_opset(parse_network(read_content(path), path), path)
    image, axes = _image_input(model, path, form.side)
    output = PREFIX + _chosen_output(model, path, form)
    for node in model.graph.node:
        node.ClearField("doc_string")  # PyTorch writes the path of its code into it
    del model.graph.input[:], model.graph.output[:], model.graph.value_info[:]
    model.graph.input.append(image)
    network = compose.add_prefix(model, PREFIX)  # it may name tensors as we do
    scaling = parsed(_scaling(form, axes), like=network)
    body = joined(scaling, network, "scaled", PREFIX + image.name)
    whole = _ending(body, output, f"{FEATURES} = Identity(maps)")
    shape = _feature_shape(whole, path, form.side)
    if form.pool:
        axes = _map_axes(shape, path)
        mean = f"{FEATURES} = ReduceMean<keepdims = 0>(maps, axes)"
        whole = _ending(body, output, f"axes = Constant<value_ints = {[*axes]}>() {mean}")
        shape = _feature_shape(whole, path, form.side)
    if len(shape) != 2:
        hint = "one vector is needed, the mean of maps with --pool"
        raise DataError(f"{path}: gives {shape[1:]} per image; {hint}")
    dims = whole.graph.output[0].type.tensor_type.shape.dim
    dims[1].dim_value = shape[1]
    return whole


def _with_opset(model: ModelProto, path: Path) -> ModelProto:
    """The model in a version of ONNX's operators that can resize images for it."""
    if model.opset_import[0].version >= OPSET:
        return model
    with parsing(f"a network that opset {OPSET} can express", path):
        return onnx.version_converter.convert_version(model, OPSET)


def _image_input(
    model: ModelProto, path: Path, side: int
) -> tuple[ValueInfoProto, tuple[int, int]]:
    """The network's one input, and its axes of height and width; a DataError if it has another."""
    inputs = model.graph.input
    sides = (None, side)
    match forms := [_form(value) for value in inputs]:
        case [("FLOAT", [None, 3, height, width])] if height in sides and width in sides:
            return inputs[0], CHANNELS_FIRST
        case [("FLOAT", [None, height, width, 3])] if height in sides and width in sides:
            return inputs[0], CHANNELS_LAST
    raise DataError(
        f"{path}: takes {forms}; one input (n, 3, {side}, {side}) or (n, {side}, {side}, 3) of "
        "float32 is needed, with n free, where --side says the pixels"
    )


def _form(value: ValueInfoProto) -> tuple[str, list[int | None]]:
    """Its type and its sides; None for a side that is free."""
    tensor = value.type.tensor_type
    kind = TensorProto.DataType.Name(tensor.elem_type)
    return kind, [dim.dim_value or None for dim in tensor.shape.dim]


def _chosen_output(model: ModelProto, path: Path, form: Form) -> str:
    outputs = [value.name for value in model.graph.output]
    if form.output is None and len(outputs) != 1:
        raise DataError(f"{path}: has the outputs {', '.join(outputs)}; choose one by --output")
    return form.output or outputs[0]


def _scaling(form: Form, axes: tuple[int, int]) -> str:
    """From bytes to the values that the network was trained on."""
    order = [0, 1, 2, 3] if axes == CHANNELS_LAST else [0, 3, 1, 2]
    return f"""
        scaling (uint8[n, {form.side}, {form.side}, 3] {IMAGES}) => (float[n, y, x, c] scaled)
        <{_bytes("mean", form.mean)}, {_bytes("std", form.std)}> {{
            values = Cast<to = {TensorProto.FLOAT}>({IMAGES})
            centred = Sub(values, mean)
            divided = Div(centred, std)
            scaled = Transpose<perm = {order}>(divided)
        }}"""


def _bytes(name: str, shares: Sequence[float]) -> str:
    """A constant of 255 times these values, per channel or one for all."""
    values = 255 * np.array(shares, np.float32)
    return f"float[{len(values)}] {name} = {{{', '.join(map(str, values.tolist()))}}}"


def _ending(body: ModelProto, output: str, nodes: str) -> ModelProto:
    """The network that ends in these nodes, of which the last one takes its tensor `output`."""
    text = f"ending (float[n] maps) => (float[n, k] {FEATURES}) {{ {nodes} }}"
    ending = parsed(text, like=body)
    ending.graph.node[-1].input[0] = output
    model = ModelProto()
    model.CopyFrom(body)
    model.graph.node.extend(ending.graph.node)
    model.graph.output.extend(ending.graph.output)
    return model


def _feature_shape(model: ModelProto, path: Path, side: int) -> Shape:
    """The shape of the features of one black image, (1, …)."""
    return extractor(model, path)(np.zeros((1, side, side, 3), np.uint8)).shape


def _map_axes(shape: Shape, path: Path) -> tuple[int, int]:
    """Height and width of maps of this shape, its two equal axes: those of the input may be others.

    A DataError if they cannot be told.
    """
    pairs = (CHANNELS_FIRST, CHANNELS_LAST) if len(shape) == 4 else ()
    square = [(down, across) for down, across in pairs if shape[down] == shape[across]]
    if len(square) != 1:
        raise DataError(
            f"{path}: gives {shape[1:]} per image; --pool is for (channels, height, width) or "
            "(height, width, channels) with height equal to width, and no other two; let the "
            "network average them, and leave out --pool"
        )
    return square[0]
