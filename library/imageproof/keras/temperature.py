"""Temperature scaling; apart from `confidence`, as a change here trains all models again."""

from collections.abc import Callable
from math import exp, log
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from imageproof.base import _inference
from imageproof.base._dataset import Dataset, Labels, Probabilities
from imageproof.base.errors import ImageproofError
from imageproof.base.files import replacing
from imageproof.outputs import TrainOutputs

TEMPERATURES = (0.05, 20.0)
NO_KERAS = "This model is not one of Keras; model.onnx is the network.\n"


def fit_temperature(probabilities: Probabilities, labels: Labels) -> float:
    """The T, 0.05…20, at which softmax(log(p) / T) has the lowest log loss; 1 if none is better.

    Guo et al. 2017, «On Calibration of Modern Neural Networks», section 4.2. A row whose true
    class has probability 0 is left out: no temperature makes it better. `labels` int64 (n,).
    """
    from scipy.optimize import minimize_scalar
    from scipy.special import logsumexp

    is_possible = probabilities[np.arange(len(labels)), labels] > 0
    answers = probabilities[is_possible]
    truth = labels[is_possible]
    if (answers.argmax(axis=1) == truth).all():
        return 1.0  # the loss would fall until all answers are certain
    with np.errstate(divide="ignore"):
        logits = np.log(answers, dtype=np.float64)
    truth_logits = logits[np.arange(len(truth)), truth]

    def loss(log_temperature: float) -> float:
        scale = exp(-log_temperature)
        losses = logsumexp(scale * logits, axis=1) - scale * truth_logits
        return float(np.mean(losses))

    best = minimize_scalar(
        loss,
        bounds=[*map(log, TEMPERATURES)],
        method="bounded",
        options={"xatol": 1e-6},
    )
    return exp(best.x) if best.fun < loss(0.0) else 1.0


def scaled(probabilities: Probabilities, temperature: float) -> Probabilities:
    """softmax(log(p) / T) of probabilities p float32 (n, classes); float32 (n, classes), too."""
    from scipy.special import softmax

    with np.errstate(divide="ignore"):
        logits = np.log(probabilities) / temperature
    result: Probabilities = softmax(logits, axis=1)
    return result


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
        loaded = _inference.load(outputs.model, threads=threads)
        probabilities = loaded.predict(validation.images)
        if finding := _inference.not_probabilities(probabilities):
            raise ImageproofError(f"{outputs.model}: {finding}")
        return probabilities

    temperature = fit_temperature(answers(1.0), validation.labels)
    probabilities = answers(temperature)
    check_answers(outputs.model, validation)
    outputs.keras.write_text(NO_KERAS, "utf-8")
    return temperature, probabilities


def check_answers(path: Path, validation: Dataset) -> None:
    """Refuse an ONNX file that does not answer the validation rows alike however it is asked."""
    finding, _ = _inference.inconsistency(path, validation.images)
    if finding:
        raise ImageproofError(f"{path}: {finding}; build it of other layers")


def truth_probabilities(probabilities: Probabilities, labels: Labels) -> NDArray[np.float32]:
    """The probability that each row's true class got, float32 (n,), ascending."""
    rows = np.arange(len(labels))
    return np.sort(probabilities[rows, labels])
