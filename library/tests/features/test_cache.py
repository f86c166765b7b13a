"""Features are asked for once, whatever comes beside an image."""

import sqlite3
from pathlib import Path

import networks
import numpy as np
import pytest
from helpers import finding

from imageproof.base.errors import DataError
from imageproof.features.cache import FOLDER, FeatureCache
from imageproof.features.graph import feature_graph

SHAPE = (20, 20, 3)
IMAGES = np.random.default_rng(1).integers(256, size=(1100, *SHAPE), dtype=np.uint8)


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FeatureCache:
    monkeypatch.chdir(tmp_path)
    networks.write_standin()
    return opened(threads=2)


def opened(*, threads: int = 1) -> FeatureCache:
    return FeatureCache(feature_graph(networks.load(), SHAPE), SHAPE, threads=threads)


def test_new_image_costs_one_question(cache: FeatureCache) -> None:
    assert cache.features(IMAGES[:-1], label="x").computed == len(IMAGES) - 1
    assert cache.features(IMAGES, label="x").computed == 1
    assert opened().features(IMAGES[::-1], label="x").computed == 0


def test_equal_images_cost_one_question(cache: FeatureCache) -> None:
    assert cache.features(np.repeat(IMAGES[:3], 300, axis=0), label="x").computed == 3


def test_features_are_the_same_bits_however_asked(cache: FeatureCache) -> None:
    batch = cache.features(IMAGES[:600], label="x").features
    cache.path.unlink()
    parts = [opened().features(part, label="x") for part in np.split(IMAGES[:600], 60)]
    assert sum(part.computed for part in parts) == 600
    assert np.array_equal(batch, np.concatenate([part.features for part in parts]))


def test_deleted_cache_costs_only_time(cache: FeatureCache) -> None:
    features = cache.features(IMAGES, label="x").features
    assert [*FOLDER.iterdir()] == [cache.path]
    cache.path.unlink()
    again = cache.features(IMAGES, label="x")
    assert again.computed == len(IMAGES)
    assert np.array_equal(again.features, features)


def overwrite(path: Path) -> None:
    path.write_bytes(b"no database" * 1000)


def change_value(path: Path) -> None:
    with sqlite3.connect(path) as database:
        database.execute("UPDATE features SET value = zeroblob(28)")


def shorten_value(path: Path) -> None:
    with sqlite3.connect(path) as database:
        database.execute("UPDATE features SET value = x'00'")


@pytest.mark.parametrize("damage", [overwrite, change_value, shorten_value])
def test_damaged_cache_is_named(cache: FeatureCache, damage) -> None:  # type: ignore[no-untyped-def]
    cache.features(IMAGES[:5], label="x")
    damage(cache.path)
    line = finding(DataError, lambda: opened().features(IMAGES[:5], label="x"))
    assert line.startswith(f"{cache.path}: is damaged (")
    assert line.endswith("); delete it: that costs only time")
