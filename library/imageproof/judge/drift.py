"""Drift: whether images still look like those that a model was trained on and judged by."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from imageproof.base._dataset import Floats, Labels, Rows
from imageproof.base.files import StrictModel

Features = NDArray[np.float32]  # (n, k), a network's last hidden layer
Distances = NDArray[np.float32]  # (n,), 0…2

FEW = 20  # in a cell
DRAWS = 4_999
FARTHEST = 2  # of cosine distances
CUTS = (0.5, 0.95)  # the quantiles of known distances between nearer, usual and far ones


class DriftParams(StrictModel):
    """`drift:` in params.yaml.

    Drift needs a p-value below `level` and an effect size of at least `min_effect`, 0…1, since
    with many images any difference is significant; `min_feature_effect` is that of features.
    """

    level: Annotated[float, Field(gt=0, lt=1)]
    min_effect: Annotated[float, Field(ge=0, le=1)]
    min_feature_effect: Annotated[float, Field(ge=0, le=1)]


class Comparison(NamedTuple):
    """New images against known ones: effect size 0…1 (below `min_effect` no drift), and p-value."""

    name: str
    effect: float
    p_value: float
    min_effect: float


@dataclass(frozen=True, slots=True)
class Drift:
    name: str
    effect: float
    p_value: float
    drifted: bool


def judge(comparisons: Sequence[Comparison], level: float) -> list[Drift]:
    """Which comparisons mean drift; `level` is the chance that any does where nothing changed."""
    drifts = []
    for name, effect, p_value, min_effect in comparisons:
        p_value = min(1.0, p_value * len(comparisons))  # Bonferroni
        drifts.append(Drift(name, effect, p_value, p_value < level and effect >= min_effect))
    return drifts


def compare_values(
    name: str,
    new: np.ndarray,
    reference: np.ndarray,
    min_effect: float,
) -> Comparison:
    """Compare a value per image by the two-sample Kolmogorov-Smirnov test."""
    from scipy.stats import ks_2samp

    test = ks_2samp(new, reference, method="asymp")
    return Comparison(name, float(test.statistic), float(test.pvalue), min_effect)


def compare_counts(
    name: str,
    new: Labels,
    reference: Labels,
    min_effect: float,
) -> Comparison:
    """Compare counts per class int64 (classes,) by Pearson's χ² test of homogeneity.

    The effect is the total variation distance: the share that would have to change class. Where an
    expected count is below FEW, χ² is compared with that of DRAWS tables of the same sums
    (a permutation test, by Patefield 1981, algorithm AS 159): then its distribution is no χ².
    """
    from scipy.stats import MonteCarloMethod, chi2_contingency

    counts = np.stack([new, reference])[:, (new + reference) > 0]
    shares = counts / counts.sum(axis=1, keepdims=True)
    effect = float(np.abs(shares[0] - shares[1]).sum() / 2)
    test = chi2_contingency(counts, correction=False)
    if test.expected_freq.min() < FEW:
        draws = MonteCarloMethod(n_resamples=DRAWS, batch=1000, rng=np.random.default_rng(0))
        test = chi2_contingency(counts, correction=False, method=draws)
    return Comparison(name, effect, float(test.pvalue), min_effect)


def compare_accuracy(
    correct: float,
    rows: float,
    holdout: tuple[float, float],
) -> Comparison:
    """Whether fewer are right than in `holdout` (right answers, rows): Fisher's exact test.

    Rows that come in groups are counted as independent ones that tell as much.
    """
    from scipy.stats import fisher_exact

    hits, holdout_rows = holdout
    table = np.rint([[correct, rows - correct], [hits, holdout_rows - hits]]).astype(int)
    p_value = float(fisher_exact(table, alternative="less").pvalue)
    return Comparison("accuracy", max(0.0, hits / holdout_rows - correct / rows), p_value, 0.0)


class KnownFeatures:
    """Features float32 (n, k), n at least 2, of images that the model was not fitted on.

    An image is as foreign as its features are far, by cosine distance, from the nearest known
    ones (Sun et al. 2022, «Out-of-Distribution Detection with Deep Nearest Neighbors»). `known`
    are the distances of the known images to their nearest other one, with `groups` int64 (n,) to
    that of another group: new images are of new writers.
    """

    def __init__(self, features: Features, groups: Rows | None = None) -> None:
        self._features = features
        own = np.arange(len(features)) if groups is None else groups
        self.known = self.distances(features, own)
        self.cuts: Floats = np.quantile(self.known, CUTS)

    def distances(self, features: Features, own: Rows | None = None) -> Distances:
        """From the nearest known image, of another group than the `own` int64 (n,)."""
        from sklearn.metrics import pairwise_distances_chunked

        def nearest(distances: Distances, start: int) -> Distances:
            if own is not None:
                distances[own[start : start + len(distances), None] == own] = FARTHEST
            return np.asarray(distances.min(axis=1))

        # 64 MB of distances at a time: all would take 400
        chunks = pairwise_distances_chunked(
            features, self._features, reduce_func=nearest, metric="cosine", working_memory=64
        )
        return np.concatenate([*chunks])

    def compare(self, distances: Distances, min_effect: float) -> Comparison:
        """Compare how many are near, usual, and farther than 95 % of the known; see `CUTS`."""
        return compare_counts(
            "features", self._count(distances), self._count(self.known), min_effect
        )

    def _count(self, distances: Distances) -> Labels:
        return np.bincount(np.searchsorted(self.cuts, distances, side="right"), minlength=3)
