"""One ONNX graph from a packed image to calibrated probabilities: resize, backbone, head."""

from hashlib import sha256
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from onnx import ModelProto, TensorProto, compose, helper, numpy_helper, parser, utils

from imageproof.base._dataset import Shape
from imageproof.base._inference import BACKBONE, FEATURES, IMAGES, PROBABILITIES, Features
from imageproof.features._backbone import Backbone


class Head(NamedTuple):
    """A linear classifier: probabilities = softmax(inputs · weights + bias)."""

    weights: NDArray[np.float64]  # (k, classes)
    bias: NDArray[np.float64]  # (classes,)


def feature_graph(backbone: Backbone, shape: Shape) -> ModelProto:
    """From images uint8 (n, *shape), as they are packed, to the features of the backbone.

    Images of another size are resized linearly, with antialiasing where they get smaller. The one
    channel of grey images is repeated.
    """
    model = backbone.model
    if shape != (backbone.side, backbone.side, 3):
        network = compose.add_prefix(model, "backbone/", rename_outputs=False)
        resize = parsed(_resize(shape, backbone.side), like=network)
        model = joined(resize, network, "resized", f"backbone/{IMAGES}")
    # without unused nodes, as `parts` gives it: both find the same features in the cache
    return utils.Extractor(model).extract_model([IMAGES], [FEATURES])


def classifier(
    features: ModelProto,
    head: Head,
    *,
    temperature: float,
    name: str,
) -> ModelProto:
    """The whole model: `features` of `feature_graph`, with a head of their roots.

    `name` is that of the backbone.
    """
    width, classes = head.weights.shape
    text = f"""
        head (float[n, {width}] head_in) => (float[n, {classes}] {PROBABILITIES}) {{
            head_sizes = Abs(head_in)
            head_roots = Sqrt(head_sizes)
            head_signs = Sign(head_in)
            head_rooted = Mul(head_signs, head_roots)
            head_logits = Gemm(head_rooted, head_weights, head_bias)
            head_scaled = Div(head_logits, head_temperature)
            {PROBABILITIES} = Softmax<axis = 1>(head_scaled)
        }}"""
    tail = parsed(text, like=features)
    constants = {"head_weights": head.weights, "head_bias": head.bias}
    constants["head_temperature"] = np.array(temperature)
    tail.graph.initializer.extend(
        numpy_helper.from_array(value.astype(np.float32), key) for key, value in constants.items()
    )
    model = joined(features, tail, FEATURES, "head_in")
    layer = helper.make_tensor_value_info(FEATURES, TensorProto.FLOAT, ["n", width])
    model.graph.value_info.append(layer)
    helper.set_model_props(model, {BACKBONE: name})
    return model


def rooted(features: Features) -> Features:
    """The square roots, with the sign kept: few large features would decide alone."""
    roots: Features = np.sign(features) * np.sqrt(np.abs(features))
    return roots


def parsed(text: str, *, like: ModelProto) -> ModelProto:
    """A graph in ONNX's own notation, of the versions that a model has."""
    opset = like.opset_import[0].version
    return parser.parse_model(f'<ir_version: {like.ir_version}, opset_import: ["": {opset}]>{text}')


def joined(
    first: ModelProto,
    second: ModelProto,
    output: str,
    end: str,
) -> ModelProto:
    """Both graphs as one, where `output` of the first is the input `end` of the second."""
    model = compose.merge_models(first, second, io_map=[(output, end)])
    del model.opset_import[1:]  # both have the same
    return model


def parts(model: ModelProto) -> tuple[ModelProto, ModelProto]:
    """The feature graph of a classifier that `classifier` made, and its head."""
    whole = utils.Extractor(model)
    body = whole.extract_model([IMAGES], [FEATURES])
    return body, whole.extract_model([FEATURES], [PROBABILITIES])


def graph_sha256(model: ModelProto) -> str:
    """SHA-256 of what a graph computes: its operators and its constants."""
    digest = sha256()
    for item in (*model.opset_import, *model.graph.node, *model.graph.initializer):
        digest.update(item.SerializeToString(deterministic=True))
    return digest.hexdigest()


def _resize(shape: Shape, side: int) -> str:
    height, width, *colour = shape
    planes = "Transpose<perm = [0, 3, 1, 2]>(values)" if colour else "Unsqueeze(values, channels)"
    return f"""
        resize (uint8[{", ".join(map(str, ("n", *shape)))}] {IMAGES})
        => (uint8[n, {side}, {side}, 3] resized) {{
            values = Cast<to = {TensorProto.FLOAT}>({IMAGES})
            {"" if colour else "channels = Constant<value_ints = [1]>()"}
            planes = {planes}
            sizes = Constant<value_ints = [{side}, {side}]>()
            stretched = Resize<
                axes = [2, 3], mode = "linear", antialias = {int(side < max(height, width))}
            >(planes, , , sizes)
            rounded = Round(stretched)
            black = Constant<value_float = 0.0>()
            white = Constant<value_float = 255.0>()
            clipped = Clip(rounded, black, white)
            bytes = Cast<to = {TensorProto.UINT8}>(clipped)
            coloured = Concat<axis = 1>({"bytes" if colour else "bytes, bytes, bytes"})
            resized = Transpose<perm = [0, 2, 3, 1]>(coloured)
        }}"""
