"""Asks a classifier with a backbone for images whose features may be known already.

A network of another framework than Keras is calibrated and written so, too.
"""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from imageproof.base._dataset import Dataset, Images, Predict, Probabilities
from imageproof.base._inference import (
    FEATURES,
    PROBABILITIES,
    load,
    not_probabilities,
    open_session,
    read_content,
)
from imageproof.base._temperature import fit_temperature
from imageproof.base.errors import ImageproofError
from imageproof.base.files import replacing, scratch
from imageproof.features._backbone import parse_network
from imageproof.features._cache import FeatureCache
from imageproof.features._graph import parts
from imageproof.outputs import TRAIN_SAMPLE, TrainOutputs

if TYPE_CHECKING:
    from onnxruntime import InferenceSession

NO_KERAS = "This model is not one of Keras; model.onnx is the network.\n"

# `write(outputs, validation, threads=…)` calibrates and writes a fitted model: its temperature, and
# its probabilities of the validation rows.
Write = Callable[..., tuple[float, Probabilities]]


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


def write_calibrated(
    network: Callable[..., Any],
    outputs: TrainOutputs,
    validation: Dataset,
    *,
    threads: int,
) -> tuple[float, Probabilities]:
    """Write the ONNX model `network(temperature=…)` with the temperature that fits best.

    Returns the temperature, and its probabilities of the validation rows, float32 (n, classes).
    DVC wants all outputs of a stage, and warns of empty ones: a text stands for the Keras model.
    """

    def answers(temperature: float) -> Probabilities:
        with replacing(outputs.model) as temporary:
            temporary.write_bytes(network(temperature=temperature).SerializeToString())
        probabilities = cached_predict(outputs.model, threads=threads)(validation.images)
        if finding := not_probabilities(probabilities):
            raise ImageproofError(f"{outputs.model}: {finding}")
        return probabilities

    temperature = fit_temperature(answers(1.0), validation.labels)
    probabilities = answers(temperature)
    outputs.keras.write_text(NO_KERAS, "utf-8")
    return temperature, probabilities


def ask_fitted(
    write: Write,
    validation: Dataset,
    images: Images,
    *,
    threads: int,
) -> Probabilities:
    """What a fitted model answers to images when it is calibrated on the validation rows.

    `write` writes it, as ONNX Runtime is asked; float32 (n, classes).
    """
    with scratch() as folder:
        outputs = TrainOutputs(folder)
        write(outputs, validation, threads=threads)
        return cached_predict(outputs.model, threads=threads)(images)


def _predict(
    cache: FeatureCache,
    head: "InferenceSession",
    images: Images,
) -> Probabilities:
    features = cache.features(images, label="features")
    # each row alone, as the whole graph is asked: a batch may sum in another order
    rows = (features[row : row + 1] for row in range(len(features)))
    return np.concatenate([head.run([PROBABILITIES], {FEATURES: row})[0] for row in rows])
