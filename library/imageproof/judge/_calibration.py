"""How far probabilities are from how often they are right."""

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


def chance_calibration_error(probabilities: Probabilities, independent: float = 1.0) -> float:
    """The `calibration_error` that an honest model exceeds by chance once in 20 times."""
    from scipy.stats import gamma

    return float(gamma.ppf(0.95, **_by_chance(probabilities, independent)))


def chance_of_error(probabilities: Probabilities, error: float, independent: float) -> float:
    """The chance that an honest model has such a `calibration_error`, or a larger one."""
    from scipy.stats import gamma

    return float(gamma.sf(error, **_by_chance(probabilities, independent)))


def _by_chance(probabilities: Probabilities, independent: float) -> dict[str, float]:
    """The gamma distribution of the `calibration_error` of an honest model.

    Outcomes drawn from the model's own probabilities (Bröcker and Smith 2007, «Increasing the
    Reliability of Reliability Diagrams»), approximated: the gap of each bin is half-normal, and
    their sum is taken to be gamma distributed, with its mean and variance.
    Of the rows the share `independent` tells as much as all.
    """
    confidence = normalised(probabilities).max(axis=1)
    variance = np.bincount(bins_of(confidence), weights=confidence * (1 - confidence))
    gaps = np.sqrt(variance / max(independent, 1e-9)) / len(confidence)
    mean = max(np.sqrt(2 / np.pi) * gaps.sum(), 1e-9)
    variance_of_sum = max((1 - 2 / np.pi) * (gaps**2).sum(), 1e-20)
    return {"a": mean**2 / variance_of_sum, "scale": variance_of_sum / mean}


def normalised(probabilities: Probabilities) -> Floats:
    chances = np.array(probabilities, dtype=np.float64)
    chances /= chances.sum(axis=1, keepdims=True)
    return chances


def bins_of(confidence: Floats) -> Rows:
    """The number of each value's bin, from 0; bins are open on the left, closed on the right."""
    bins = np.ceil(confidence * ECE_BINS) - 1
    return np.clip(bins.astype(np.int64), 0, ECE_BINS - 1)
