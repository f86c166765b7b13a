"""Asks a classifier with a backbone for images whose features may be known already."""

from functools import partial
from pathlib import Path

import numpy as np
import onnx
from onnx import ModelProto

from imageproof.base.dataset import Images, Predict, Probabilities
from imageproof.base.files import parsing
from imageproof.base.inference import BACKBONE, FEATURES, PROBABILITIES, load, open_session
from imageproof.features.backbone import read_network
from imageproof.features.cache import FeatureCache
from imageproof.features.graph import parts


def cached_predict(path: Path, *, threads: int) -> Predict:
    """What `inference.load(path).predict` answers, bit for bit, with features from the cache.

    A file without a backbone is asked as it is.
    """
    network = load(path, threads=threads)
    with parsing("ONNX model", path):
        metadata = onnx.load(path, load_external_data=False).metadata_props
    if BACKBONE not in {entry.key for entry in metadata}:
        return network.predict
    model = read_network(path)
    with parsing("ONNX model", path):
        body, head = parts(model)
    cache = FeatureCache(body, network.shape, threads=threads)
    return partial(_predict, cache, head, path)


def _predict(cache: FeatureCache, head: ModelProto, path: Path, images: Images) -> Probabilities:
    features = cache.features(images, label="features").features
    session = open_session(path, head.SerializeToString())
    # each row alone, as the whole graph is asked: a batch may sum in another order
    rows = (features[row : row + 1] for row in range(len(features)))
    return np.concatenate([session.run([PROBABILITIES], {FEATURES: row})[0] for row in rows])
