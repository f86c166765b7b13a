"""Asks a classifier with a backbone for images whose features may be known already."""

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from imageproof.base._dataset import Dataset, Images, Predict, Probabilities
from imageproof.base._inference import FEATURES, PROBABILITIES, load, open_session, read_content
from imageproof.features._backbone import parse_network
from imageproof.features._cache import FeatureCache
from imageproof.features._graph import parts
from imageproof.outputs import TRAIN_SAMPLE

if TYPE_CHECKING:
    from onnxruntime import InferenceSession


def cached_predict(path: Path, *, threads: int) -> Predict:
    """What `_inference.load(path).predict` answers, bit for bit, with features from the cache.

    A file without a backbone is asked as it is.
    """
    network = load(path, threads=threads)
    if not network.has_backbone:
        return network.predict
    body, head = parts(parse_network(read_content(path), path))
    cache = FeatureCache(body, network.shape, threads=threads)
    return partial(_predict, cache, open_session(path, head.SerializeToString()))


def sample_accuracy(
    path: Path,
    data: Dataset,
    *,
    seed: int,
    threads: int,
) -> float:
    """The accuracy 0…1 of a model on its training rows, or on TRAIN_SAMPLE of them."""
    rows = np.random.default_rng(seed).permutation(len(data))[:TRAIN_SAMPLE]
    sample = data.take(np.sort(rows))
    probabilities = cached_predict(path, threads=threads)(sample.images)
    return float((probabilities.argmax(axis=1) == sample.labels).mean())


def _predict(
    cache: FeatureCache,
    head: "InferenceSession",
    images: Images,
) -> Probabilities:
    features = cache.features(images, label="features").features
    # each row alone, as the whole graph is asked: a batch may sum in another order
    rows = (features[row : row + 1] for row in range(len(features)))
    return np.concatenate([head.run([PROBABILITIES], {FEATURES: row})[0] for row in rows])
