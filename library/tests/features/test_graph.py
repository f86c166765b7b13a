"""One file from a packed image to probabilities."""

from pathlib import Path

import networks
import numpy as np
import onnx
import pytest

from imageproof.base import _inference
from imageproof.features._backbone import extractor
from imageproof.features._graph import Head, classifier, feature_graph, graph_sha256, parts, rooted
from imageproof.features.head import predict
from imageproof.features.predict import cached_predict

SHAPES = [(20, 20, 3), (networks.SIDE, networks.SIDE, 3), (40, 12), (networks.SIDE,) * 2]
random = np.random.default_rng(2)
HEAD = Head(random.normal(size=(networks.CHANNELS, 4)), random.normal(size=4))
PATH = Path("model.onnx")


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_one_file_answers_as_its_parts_do(workspace, shape):
    networks.write_standin()
    backbone = networks.load()
    unused = onnx.helper.make_node("Constant", [], ["unused"], value_int=1)  # exports have such
    backbone.model.graph.node.append(unused)
    graph = feature_graph(backbone, shape)
    onnx.save(classifier(graph, HEAD, temperature=1.7, name="standin"), PATH)
    images = random.integers(256, size=(70, *shape), dtype=np.uint8)
    network = _inference.load(PATH, threads=2)
    answers = network.predict(images)
    assert (network.shape, network.classes) == (shape, 4)
    features = extractor(graph, PATH)(images)
    scaled = Head(HEAD.weights / 1.7, HEAD.bias / 1.7)
    assert np.allclose(answers, predict(scaled, rooted(features)), atol=1e-5)
    ask = _inference.load_features(PATH, threads=1)
    assert ask is not None
    assert np.array_equal(ask(images), features)
    assert _inference.inconsistency(PATH, images) == ("", len(images))
    for _ in ("asked", "known"):
        assert np.array_equal(cached_predict(PATH, threads=2)(images), answers)
    body, _ = parts(onnx.load(PATH))
    assert graph_sha256(body) == graph_sha256(graph)
