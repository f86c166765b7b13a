"""Drift: whether scored data still looks like the training data."""

from dataclasses import dataclass
from typing import Annotated

import numpy as np
from pydantic import Field

from digits.core.dataset import Labels
from digits.core.files import StrictModel


class DriftParams(StrictModel):
    """`drift:` in params.yaml.

    Drift needs a p-value below `level` and an effect size of at least `min_effect`, 0…1, since
    with many images any difference is significant.
    """

    level: Annotated[float, Field(gt=0, lt=1)]
    min_effect: Annotated[float, Field(ge=0, le=1)]


@dataclass(frozen=True, slots=True)
class Drift:
    """One comparison: its effect size 0…1, its p-value, and whether both mean drift."""

    name: str
    effect: float
    p_value: float
    drifted: bool


def value_drift(name: str, scored: np.ndarray, trained: np.ndarray, params: DriftParams) -> Drift:
    """Compare a value per image by the two-sample Kolmogorov-Smirnov test.

    The effect is its statistic, the largest distance between the two distribution functions.
    """
    from scipy.stats import ks_2samp

    test = ks_2samp(scored, trained, method="asymp")
    return _drift(name, float(test.statistic), float(test.pvalue), params)


def class_drift(name: str, scored: Labels, trained: Labels, params: DriftParams) -> Drift:
    """Compare class counts int64 (classes,) by Pearson's χ² test of homogeneity.

    The effect is the total variation distance: the share of images that would have to change
    class. Classes without images on either side are left out.
    """
    from scipy.stats import chi2_contingency

    counts = np.stack([scored, trained])[:, (scored + trained) > 0]
    shares = counts / counts.sum(axis=1, keepdims=True)
    effect = float(np.abs(shares[0] - shares[1]).sum() / 2)
    p_value = float(chi2_contingency(counts).pvalue) if counts.shape[1] > 1 else 1.0
    return _drift(name, effect, p_value, params)


def _drift(name: str, effect: float, p_value: float, params: DriftParams) -> Drift:
    return Drift(name, effect, p_value, p_value < params.level and effect >= params.min_effect)
