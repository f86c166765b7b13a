"""Networks of other libraries, as small as they can be, and a backbone made of one."""

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from imageproof.base.files import sha256
from imageproof.features._backbone import backbone_path, load_backbone
from imageproof.features._convert import Form, write_backbone

SIDE = 16
CHANNELS = 5
WEIGHTS = np.random.default_rng(3).normal(size=(CHANNELS, 3, 4, 4)).astype(np.float32)
FORM = Form(side=SIDE, mean=[0.5], std=[0.25], output=None, pool=True)


def network(
    *,
    shape=("n", 3, SIDE, SIDE),
    kind=TensorProto.FLOAT,
    more=(),
    outputs=("maps",),
    weights=WEIGHTS,
    opset=17,
):
    """A convolution whose patches do not overlap, `maps` (n, 5, 4, 4); `more` comes after it."""
    nodes = [helper.make_node("Conv", ["input", "weights"], ["maps"], strides=[4, 4])]
    if kind != TensorProto.FLOAT:
        nodes[0].input[0] = "float"
        nodes.insert(0, helper.make_node("Cast", ["input"], ["float"], to=TensorProto.FLOAT))
    dims = ["n", "k", *"yx"[: 2 * (outputs != ("end",))]]
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, dims) for name in outputs]
    graph = helper.make_graph(
        [*nodes, *more],
        "network",
        [helper.make_tensor_value_info("input", kind, list(shape))],
        ends,
        [numpy_helper.from_array(weights, "weights")],
    )
    imports = [helper.make_opsetid("", opset)]
    return helper.make_model(graph, opset_imports=imports, ir_version=9)


def write_standin():
    """Write backbones/standin.onnx of this network into the current folder."""
    path = Path("standin.onnx")
    onnx.save(network(), path)
    return write_backbone(path, FORM)


def load():
    """This backbone, whatever its hash is."""
    path = backbone_path("standin")
    return load_backbone("standin", sha256(path) if path.exists() else "")
