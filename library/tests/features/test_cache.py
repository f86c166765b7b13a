"""Features are asked for once, whatever comes beside an image."""

import sqlite3
import subprocess

import networks
import numpy as np
import pytest
from helpers import finding

from imageproof.base.errors import DataError, ServiceError
from imageproof.features._cache import FOLDER, FeatureCache
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
    assert [*FOLDER.iterdir()] == [cache.path]
    cache.path.unlink()  # costs only time
    copies = features(cache, np.repeat(IMAGES[:3], 300, axis=0))
    assert copies.computed == 3
    assert np.array_equal(copies.features, np.repeat(whole.features[:3], 300, axis=0))


@pytest.mark.parametrize("value", ["zeroblob(28)", "x'00'", None], ids=str)
def test_damaged_cache_is_named(cache, value):
    features(cache, IMAGES[:5])
    if value:
        with sqlite3.connect(cache.path) as database:
            database.execute(f"UPDATE features SET value = {value}")
    else:
        cache.path.write_bytes(b"no database" * 1000)
    line = finding(DataError, lambda: features(opened(), IMAGES[:5]))
    assert line.startswith(f"{cache.path}: is damaged (")
    assert line.endswith("); delete it: that costs only time")


def test_full_or_locked_disk_is_no_damage(cache, disk):
    """A line that says «delete it» would cost the features of all images."""
    FOLDER.parent.symlink_to(disk)
    (disk / "filler").write_bytes(bytes(56 << 10))
    with pytest.raises(OSError, match="No space left on device") as raised:
        features(cache, IMAGES)
    assert raised.value.filename == str(cache.path)
    (disk / "filler").unlink()
    features(cache, IMAGES[:5])
    subprocess.run(["mount", "-o", "remount,ro", disk], check=True)
    assert features(cache, IMAGES[:5]).computed == 0
    line = finding(ServiceError, features, cache, IMAGES[:6])
    reason = "cannot be read or written (attempt to write a readonly database)"
    assert line == f"{cache.path}: {reason}; mend its rights, or end what holds it"
