"""How far probabilities are from how often they are right."""

import numpy as np
from numpy.typing import NDArray

from imageproof.base.dataset import Labels, Probabilities

ECE_BINS = 15
Z_95 = 1.645  # 95 % of a normal distribution lie below


def calibration_error(probabilities: Probabilities, reference: Labels) -> float:
    """Mean gap between confidence and accuracy over 15 equal-width bins of confidence, 0…1.

    Guo et al. 2017, «On Calibration of Modern Neural Networks», equation 3.
    """
    chances = normalised(probabilities)
    confidence = chances.max(axis=1)
    surplus = confidence - (chances.argmax(axis=1) == reference)
    per_bin = np.bincount(bins_of(confidence), weights=surplus, minlength=ECE_BINS)
    return float(np.abs(per_bin).sum() / len(reference))


def chance_calibration_error(probabilities: Probabilities) -> float:
    """The `calibration_error` that an honest model exceeds by chance once in 20 times.

    Outcomes drawn from the model's own probabilities (Bröcker and Smith 2007, «Increasing the
    Reliability of Reliability Diagrams»), approximated: the gap of each bin is half-normal.
    """
    confidence = normalised(probabilities).max(axis=1)
    variance = np.bincount(bins_of(confidence), weights=confidence * (1 - confidence))
    gaps = np.sqrt(variance) / len(confidence)
    mean, spread = np.sqrt(2 / np.pi) * gaps.sum(), np.sqrt((1 - 2 / np.pi) * (gaps**2).sum())
    return float(mean + Z_95 * spread)


def normalised(probabilities: Probabilities) -> NDArray[np.float64]:
    chances = np.array(probabilities, dtype=np.float64)
    chances /= chances.sum(axis=1, keepdims=True)
    return chances


def bins_of(confidence: NDArray[np.float64]) -> NDArray[np.int64]:
    """The number of each value's bin, from 0; bins are open on the left, closed on the right."""
    return np.clip(np.ceil(confidence * ECE_BINS).astype(np.int64) - 1, 0, ECE_BINS - 1)
