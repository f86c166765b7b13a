"""How far probabilities are from how often they are right."""

from typing import Any

import numpy as np

from imageproof.base._dataset import Floats, Labels, Probabilities, Rows

ECE_BINS = 15


def calibration_error(probabilities: Probabilities, reference: Labels) -> float:
    """Mean gap between confidence and accuracy over 15 equal-width bins of confidence, 0…1.

    Guo et al. 2017, «On Calibration of Modern Neural Networks», equation 3.
    """
    chances = normalised(probabilities)
    confidence = chances.max(axis=1)
    hits = chances.argmax(axis=1) == reference
    gaps = np.bincount(bins_of(confidence), weights=confidence - hits)
    return float(np.abs(gaps).sum() / len(reference))


def errors_by_chance(probabilities: Probabilities, independent: float) -> Any:
    """SciPy's distribution of the `calibration_error` of an honest model.

    Outcomes drawn from the model's own probabilities (Bröcker and Smith 2007, «Increasing the
    Reliability of Reliability Diagrams»), approximated: the gap of each bin is half-normal, and
    their sum is taken to be gamma distributed, with its mean and variance.
    Of the rows the share `independent` tells as much as all.
    """
    from scipy.stats import gamma

    confidence = normalised(probabilities).max(axis=1)
    variances = np.bincount(bins_of(confidence), weights=confidence * (1 - confidence))
    gaps = np.sqrt(variances / max(independent, 1e-9)) / len(confidence)
    mean = max(np.sqrt(2 / np.pi) * gaps.sum(), 1e-9)
    variance = max((1 - 2 / np.pi) * (gaps @ gaps), 1e-20)
    return gamma(mean**2 / variance, scale=variance / mean)


def normalised(probabilities: Probabilities) -> Floats:
    chances = np.array(probabilities, dtype=np.float64)
    chances /= chances.sum(axis=1, keepdims=True)
    return chances


def bins_of(confidence: Floats) -> Rows:
    """The number of each value's bin, from 0; bins are open on the left, closed on the right."""
    bins = np.ceil(confidence * ECE_BINS) - 1
    return np.clip(bins.astype(np.int64), 0, ECE_BINS - 1)
