"""Features are asked for once, whatever comes beside an image; one file from it to an answer."""

import sqlite3
from pathlib import Path

import networks
import numpy as np
import onnx
import pytest
from helpers import finding

from imageproof.base import _inference
from imageproof.base.errors import ServiceError
from imageproof.features._backbone import extractor
from imageproof.features._cache import FeatureCache
from imageproof.features._graph import Head, classifier, feature_graph, graph_sha256, parts, rooted
from imageproof.features.head import predict
from imageproof.features.predict import cached_predict

SHAPE = (20, 20, 3)
IMAGES = np.random.default_rng(1).integers(256, size=(1100, *SHAPE), dtype=np.uint8)


@pytest.fixture
def cache(workspace):
    networks.write_standin()
    return opened(threads=2)


def opened(*, threads=1):
    return FeatureCache(feature_graph(networks.load(), SHAPE), SHAPE, threads=threads)


def features(cache, images):
    return cache.features(images, label="x")


def test_an_image_is_asked_for_once_and_gets_the_same_bits(cache):
    whole = features(cache, IMAGES[:-1])
    other = opened()
    assert np.array_equal(features(other, IMAGES[::-1])[:0:-1], whole)
    assert (cache.asked, other.asked) == (len(IMAGES) - 1, 1)
    assert [*cache.path.parent.iterdir()] == [cache.path]
    cache.path.unlink()  # costs only time
    copies = features(cache, np.repeat(IMAGES[:3], 300, axis=0))
    assert cache.asked == len(IMAGES) - 1 + 3
    assert np.array_equal(copies, np.repeat(whole[:3], 300, axis=0))


def test_an_experiment_asks_for_no_image_again(cache, tmp_path_factory, monkeypatch):
    features(cache, IMAGES[:5])
    graph = feature_graph(networks.load(), SHAPE)
    monkeypatch.setenv("DVC_ROOT", str(Path.cwd()))
    monkeypatch.chdir(tmp_path_factory.mktemp("copy"))
    copy = FeatureCache(graph, SHAPE, threads=1)
    features(copy, IMAGES[:5])
    assert copy.asked == 0


def test_damaged_cache_is_named(cache):
    features(cache, IMAGES[:5])
    with sqlite3.connect(cache.path) as database:
        database.execute("UPDATE features SET value = zeroblob(28)")
    line = finding(ServiceError, features, opened(), IMAGES[:5])
    assert line.startswith(f"{cache.path}: ")
    assert line.endswith("; if it is damaged, delete it: that costs only time")


random = np.random.default_rng(2)
HEAD = Head(random.normal(size=(networks.CHANNELS, 4)), random.normal(size=4))
PATH = Path("model.onnx")


@pytest.mark.parametrize("shape", [SHAPE, (16, 16, 3), (40, 12), (16, 16)], ids=str)
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
