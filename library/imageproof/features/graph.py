"""One ONNX graph from a packed image to calibrated probabilities: resize, backbone, head."""

from hashlib import sha256
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from onnx import ModelProto, NodeProto, TensorProto, compose, helper, numpy_helper, utils

from imageproof.base.dataset import Shape
from imageproof.base.inference import BACKBONE, FEATURES, IMAGES, PROBABILITIES
from imageproof.features.backbone import Backbone


class Head(NamedTuple):
    """A linear classifier of features: probabilities = softmax(features · weights + bias)."""

    weights: NDArray[np.float64]  # (k, classes)
    bias: NDArray[np.float64]  # (classes,)


def feature_graph(backbone: Backbone, shape: Shape) -> ModelProto:
    """From images uint8 (n, *shape), as they are packed, to the features of the backbone.

    Images of another size are resized linearly, with antialiasing where they get smaller. The one
    channel of grey images is repeated.
    """
    if shape == (backbone.side, backbone.side, 3):
        return backbone.model
    network = compose.add_prefix(backbone.model, "backbone/")
    resize = _resize(shape, backbone)
    joined = _merged(resize, network, "resized", f"backbone/{IMAGES}")
    return _renamed_output(joined, f"backbone/{FEATURES}")


def classifier(features: ModelProto, head: Head, *, temperature: float, name: str) -> ModelProto:
    """The whole model: `features` of `feature_graph`, with the head of their backbone `name`."""
    constants = {
        "head/weights": head.weights.astype(np.float32),
        "head/bias": head.bias.astype(np.float32),
        "head/temperature": np.array(temperature, np.float32),
    }
    nodes = [
        helper.make_node("Gemm", ["head/in", "head/weights", "head/bias"], ["head/logits"]),
        helper.make_node("Div", ["head/logits", "head/temperature"], ["head/scaled"]),
        helper.make_node("Softmax", ["head/scaled"], [PROBABILITIES], axis=1),
    ]
    width, classes = head.weights.shape
    tail = _model(
        nodes,
        ("head/in", TensorProto.FLOAT, ["n", width]),
        (PROBABILITIES, TensorProto.FLOAT, ["n", classes]),
        constants,
        like=features,
    )
    joined = _merged(features, tail, FEATURES, "head/in")
    layer = helper.make_tensor_value_info(FEATURES, TensorProto.FLOAT, ["n", width])
    joined.graph.value_info.append(layer)
    helper.set_model_props(joined, {BACKBONE: name})
    return joined


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


def _resize(shape: Shape, backbone: Backbone) -> ModelProto:
    height, width, *colour = shape
    side = backbone.side
    grey = ([1], "Unsqueeze") if not colour else None
    nodes = [helper.make_node("Cast", [IMAGES], ["values"], to=TensorProto.FLOAT)]
    if grey:
        nodes.append(helper.make_node("Unsqueeze", ["values", "first"], ["planes"]))
    else:
        nodes.append(helper.make_node("Transpose", ["values"], ["planes"], perm=[0, 3, 1, 2]))
    nodes += [
        helper.make_node(
            "Resize",
            ["planes", "", "", "sizes"],
            ["stretched"],
            axes=[2, 3],
            mode="linear",
            antialias=int(side < max(height, width)),
        ),
        helper.make_node("Round", ["stretched"], ["rounded"]),
        helper.make_node("Clip", ["rounded", "black", "white"], ["clipped"]),
        helper.make_node("Cast", ["clipped"], ["bytes"], to=TensorProto.UINT8),
    ]
    planes = ["bytes"] if colour else ["bytes"] * 3
    nodes += [
        helper.make_node("Concat", planes, ["coloured"], axis=1),
        helper.make_node("Transpose", ["coloured"], ["resized"], perm=[0, 2, 3, 1]),
    ]
    constants: dict[str, np.ndarray] = {
        "sizes": np.array([side, side], np.int64),
        "black": np.array(0, np.float32),
        "white": np.array(255, np.float32),
    }
    if grey:
        constants["first"] = np.array([1], np.int64)
    return _model(
        nodes,
        (IMAGES, TensorProto.UINT8, ["n", *shape]),
        ("resized", TensorProto.UINT8, ["n", side, side, 3]),
        constants,
        like=backbone.model,
    )


def _model(
    nodes: list[NodeProto],
    source: tuple[str, int, list[str | int]],
    target: tuple[str, int, list[str | int]],
    constants: dict[str, np.ndarray],
    *,
    like: ModelProto,
) -> ModelProto:
    graph = helper.make_graph(
        nodes,
        "graph",
        [helper.make_tensor_value_info(*source)],
        [helper.make_tensor_value_info(*target)],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()],
    )
    return helper.make_model(graph, opset_imports=like.opset_import, ir_version=like.ir_version)


def _merged(first: ModelProto, second: ModelProto, output: str, end: str) -> ModelProto:
    """Both graphs as one, where `output` of the first is the input `end` of the second."""
    joined = compose.merge_models(first, second, io_map=[(output, end)])
    del joined.opset_import[1:]  # both have the same
    return joined


def _renamed_output(model: ModelProto, name: str) -> ModelProto:
    """The model with its one output, `name`, called `features`."""
    for node in model.graph.node:
        node.output[:] = [FEATURES if output == name else output for output in node.output]
    model.graph.output[0].name = FEATURES
    return model
