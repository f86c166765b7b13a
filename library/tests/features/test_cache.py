"""Features are asked for once, whatever comes beside an image."""

import sqlite3
from pathlib import Path

import networks
import numpy as np
import pytest
from helpers import finding

from imageproof.base.errors import ServiceError
from imageproof.features._cache import FeatureCache
from imageproof.features._graph import feature_graph

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
    again = features(opened(), IMAGES[::-1])
    assert (whole.computed, again.computed) == (len(IMAGES) - 1, 1)
    assert np.array_equal(again.features[:0:-1], whole.features)
    assert [*cache.path.parent.iterdir()] == [cache.path]
    cache.path.unlink()  # costs only time
    copies = features(cache, np.repeat(IMAGES[:3], 300, axis=0))
    assert copies.computed == 3
    assert np.array_equal(copies.features, np.repeat(whole.features[:3], 300, axis=0))


def test_an_experiment_asks_for_no_image_again(cache, tmp_path_factory, monkeypatch):
    features(cache, IMAGES[:5])
    graph = feature_graph(networks.load(), SHAPE)
    monkeypatch.setenv("DVC_ROOT", str(Path.cwd()))
    monkeypatch.chdir(tmp_path_factory.mktemp("copy"))
    assert features(FeatureCache(graph, SHAPE, threads=1), IMAGES[:5]).computed == 0


def test_damaged_cache_is_named(cache):
    features(cache, IMAGES[:5])
    with sqlite3.connect(cache.path) as database:
        database.execute("UPDATE features SET value = zeroblob(28)")
    line = finding(ServiceError, lambda: features(opened(), IMAGES[:5]))
    assert line.startswith(f"{cache.path}: ")
    assert line.endswith("; if it is damaged, delete it: that costs only time")
