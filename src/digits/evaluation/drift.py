"""Does what is scored still look like what was trained on?"""

from dataclasses import dataclass
from typing import Annotated

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from digits.core.dataset import Labels


class DriftParams(BaseModel):
    """`drift:` in params.yaml.

    With many images any difference is significant, so a drift must also have an effect size
    of `min_effect`, 0…1, besides a p-value below `level`.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)

    level: Annotated[float, Field(gt=0, lt=1)]
    min_effect: Annotated[float, Field(ge=0, le=1)]


@dataclass(frozen=True, slots=True)
class Drift:
    """One comparison: its effect size 0…1 and p-value, and whether both say drift."""

    name: str
    effect: float
    p_value: float
    drifted: bool


def of_values(name: str, seen: np.ndarray, trained: np.ndarray, params: DriftParams) -> Drift:
    """Compare one figure per image: the two-sample Kolmogorov-Smirnov test.

    The effect is its statistic, the largest distance of the two distributions.
    """
    from scipy.stats import ks_2samp

    found = ks_2samp(seen, trained, method="asymp")
    return _drift(name, float(found.statistic), float(found.pvalue), params)


def of_classes(name: str, seen: Labels, trained: Labels, params: DriftParams) -> Drift:
    """Compare class counts int64 (classes,): Pearson's χ² test of homogeneity.

    The effect is the total variation distance, the share of images that would have to
    change class. A class that neither has tells nothing and is left out.
    """
    from scipy.stats import chi2_contingency

    counts = np.stack([seen, trained])[:, (seen + trained) > 0]
    shares = counts / counts.sum(axis=1, keepdims=True)
    effect = float(np.abs(shares[0] - shares[1]).sum() / 2)
    p_value = float(chi2_contingency(counts).pvalue) if counts.shape[1] > 1 else 1.0
    return _drift(name, effect, p_value, params)


def _drift(name: str, effect: float, p_value: float, params: DriftParams) -> Drift:
    return Drift(name, effect, p_value, p_value < params.level and effect >= params.min_effect)
