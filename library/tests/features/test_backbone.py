"""Other libraries' networks in the form of a backbone, and files that are none."""

from pathlib import Path

import networks
import numpy as np
import onnx
import pytest
from helpers import finding
from networks import FORM, MAPS, SIDE, VECTOR, WEIGHTS, network
from onnx import helper
from PIL import Image

from imageproof.base.errors import DataError, UsageError
from imageproof.base.files import sha256
from imageproof.features._backbone import extractor, load_backbone
from imageproof.features._convert import per_channel, write_backbone
from imageproof.features._graph import feature_graph

IMAGES = np.random.default_rng(0).integers(256, size=(6, SIDE, SIDE, 3), dtype=np.uint8)


pytestmark = pytest.mark.usefixtures("workspace")


def ask(images):
    graph = feature_graph(networks.load(), images.shape[1:])
    return extractor(graph, Path("graph"))(images)


OLD = network(opset=9)
OLD.opset_import.insert(0, helper.make_opsetid("ai.onnx.ml", 2))  # a domain without use
VECTOR_IN_IT = network(
    "mean = GlobalAveragePool(maps) vector = Flatten(mean) end = Relu(vector)", outputs=VECTOR
)
CHANNELS_LAST = network(
    nodes="""
      planes = Transpose<perm: ints = [0, 3, 1, 2]>(input)
      maps = Conv<strides: ints = [4, 4]>(planes, weights)
    """,
    images="float[n,16,16,3]",
)


@pytest.mark.parametrize(
    ("model", "form"),
    [
        (network(), FORM),
        (OLD, FORM),
        (VECTOR_IN_IT, FORM._replace(output="vector", pool=False)),
        (CHANNELS_LAST, FORM),
    ],
    ids=["plain", "old operators", "intermediate tensor", "channels last"],
)
def test_network_becomes_backbone(model, form):
    file = Path("(standin) .onnx")  # a name that params.yaml would not take
    onnx.save(model, file)
    assert write_backbone(file, form) == Path("backbones/standin.onnx")
    finding(UsageError, write_backbone, Path("backbones/standin.onnx"), form)  # kept
    values = (IMAGES / 255 - 0.5) / 0.25
    patches = values.reshape(len(IMAGES), 4, 4, 4, 4, 3)  # n, row, y, column, x, channel
    maps = np.einsum("nrycxk,okyx->norc", patches, WEIGHTS.astype(np.float64))
    assert np.allclose(ask(IMAGES), maps.mean(axis=(2, 3)), atol=1e-4)


def test_images_are_resized_as_by_pillow():
    """Pillow antialiases what gets smaller."""
    networks.write_standin()
    grey = IMAGES[..., 0]
    assert np.array_equal(ask(grey), ask(np.stack([grey] * 3, axis=-1)))
    noise = np.random.default_rng(4).integers(256, size=(64, 40, 3), dtype=np.uint8)
    resized = Image.fromarray(noise).resize((SIDE, SIDE), Image.Resampling.BILINEAR)
    assert np.allclose(ask(noise[None]), ask(np.asarray(resized)[None]), atol=0.2)


NOT_A_NUMBER = np.full_like(WEIGHTS, np.nan)
BYTES = {
    "nodes": "float = Cast<to: int = 1>(input) maps = Conv<strides: ints = [4, 4]>(float, weights)",
    "images": "uint8[n,3,16,16]",
}
STATISTICS = {
    "more": "m = ReduceMean<axes: ints = [0], keepdims: int = 1>(maps) end = Sub(maps, m)",
    "outputs": VECTOR,
}
VECTORS = {
    "more": "end = ReduceMean<axes: ints = [2, 3], keepdims: int = 0>(maps)",
    "outputs": VECTOR,
}
FOREIGN = {"more": "end = com.microsoft.Gelu(maps)", "outputs": VECTOR}
TWO = {"more": "positive = Relu(maps)", "outputs": f"{MAPS}, float[n,k,y,x] positive"}
WRONG = {
    "bytes": (BYTES, {}, "takes [('UINT8', [None, 3, 16, 16])]; one input "),
    "fixed batch": ({"images": "float[8,3,16,16]"}, {}, "takes [('FLOAT', [8, 3, 16, 16])]; "),
    "other side": ({}, {"side": 32}, "one input (n, 3, 32, 32) or (n, 32, 32, 3) of float32"),
    "two outputs": (TWO, {}, "has the outputs maps, positive; choose one by --output"),
    "no such tensor": ({}, {"output": "pooled"}, "cannot be read as ONNX model: "),
    "maps": ({}, {"pool": False}, "gives (5, 4, 4) per image; one vector is needed"),
    "vectors": (VECTORS, {}, "gives (5,) per image; --pool is for "),
    "cubes": ({"images": "float[n,3,20,20]"}, {"side": 20}, "gives (5, 5, 5) per image; --pool is"),
    "not finite": ({"weights": NOT_A_NUMBER}, {}, "black, white or random pixels are not finite"),
    "foreign operator": (FOREIGN, {}, "operators of com.microsoft; only"),
    "batch statistics": (STATISTICS, {}, "other features alone than in"),
}


@pytest.mark.parametrize("case", WRONG)
def test_network_of_another_form_is_refused(case):
    changes, options, message = WRONG[case]
    path = Path("net.onnx")
    onnx.save(network(**changes), path)
    line = finding(DataError, write_backbone, path, FORM._replace(**options))
    assert line.startswith("net.onnx: ")
    assert message in line
    assert not Path("backbones/net.onnx").exists()


def test_weights_in_another_file_are_refused():
    onnx.save(network(), "net.onnx", save_as_external_data=True, size_threshold=0)
    assert "weights in other files; `" in finding(DataError, write_backbone, Path("net.onnx"), FORM)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "not found; `dvc pull backbones/standin.onnx` fetches it"),
        (b"damaged", "cannot be read as ONNX model"),
        (network().SerializeToString(), "a backbone has one input images uint8 (n, side, side, 3)"),
    ],
)
def test_backbone_that_is_none_is_refused(content, message):
    path = Path("backbones/standin.onnx")
    path.parent.mkdir()
    if content:
        path.write_bytes(content)
    line = finding(DataError, networks.load)
    assert line.startswith(f"{path}: ")
    assert message in line


def test_backbone_of_another_hash_is_refused():
    path = networks.write_standin()
    line = finding(DataError, load_backbone, "standin", "0" * 64)
    hashes = f"has the SHA-256 {sha256(path)}, the params {'0' * 64}"
    assert line.startswith(f"{path}: {hashes}; `dvc checkout {path}` brings the recorded file, or ")


def test_scale_is_one_number_or_three():
    assert per_channel("--mean", "0") == [0]
    assert per_channel("--std", "0.1,0.2,0.3") == [0.1, 0.2, 0.3]
    for choice in ("--mean half", "--mean 0.5,0.5", "--mean nan", "--std 0"):
        message = f"{choice}: one number of 0…1 is needed"
        assert message in finding(UsageError, per_channel, *choice.split())
