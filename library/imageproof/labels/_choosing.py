"""Which pictures without labels are worth a person's time: uncertain ones, all sorts of them."""

import warnings
from collections.abc import Iterable

import numpy as np
from threadpoolctl import threadpool_limits

from imageproof.base._dataset import Probabilities, Rows
from imageproof.base._inference import Features
from imageproof.judge.confidence import answer_sets

RANDOM_SHARE = 0.2  # of the pictures, drawn at random: a model is judged by them, too
CANDIDATES = 3  # of which one is chosen
NEAR = 6.0  # grey levels between two pictures, below which one is a copy of the other


def uncertain_first(probabilities: Probabilities, threshold: float) -> Rows:
    """Row numbers, int64 (n,): answer sets without exactly one class first, by margin in both.

    The margin is that between the two most probable classes (Scheffer, Decomain and Wrobel 2001,
    «Active Hidden Markov Models»). `threshold` is that of the answer sets.
    """
    runner_up, best = np.sort(probabilities, axis=1)[:, -2:].T
    is_sure = answer_sets(probabilities, threshold).sum(axis=1) == 1
    return np.lexsort((best - runner_up, is_sure))


def choose(
    order: Rows,
    features: Features,
    coarse: Features,
    *,
    count: int,
    seed: int,
) -> tuple[Rows, Rows]:
    """Choose `count` rows of those in `order`, the most uncertain first: chosen, and random ones.

    Random ones are RANDOM_SHARE of them. The others are spread out: the most uncertain candidate of
    each of as many clusters of their `features` as are needed. `coarse` float32 (n, k) are pixels
    0…255: no row is nearer than NEAR to another one, the root mean square of the differences.
    """
    count = min(count, len(order))
    rng = np.random.default_rng(seed)
    random = _apart(rng.permutation(order), coarse, order[:0], round(RANDOM_SHARE * count))
    count -= len(random)
    candidates = order[~np.isin(order, random)]
    nearest = candidates[: CANDIDATES * count]
    firsts = _first_of_clusters(features[nearest], min(count, len(nearest)), seed)
    spread = np.concatenate([nearest[firsts], candidates])
    return _apart(spread, coarse, random, count), random


def _first_of_clusters(features: Features, clusters: int, seed: int) -> Rows:
    """The number of the first row of each cluster by direction, ascending."""
    from sklearn.cluster import KMeans  # a second, which all commands would wait

    lengths = np.linalg.norm(features, axis=1, keepdims=True)
    means = KMeans(clusters, n_init=1, max_iter=20, random_state=seed)
    # of fewer different features than clusters
    ignored = warnings.catch_warnings(category=UserWarning, action="ignore")
    with threadpool_limits(1), ignored:
        numbers = means.fit_predict(features / np.maximum(lengths, 1e-9))
    return np.sort(np.unique(numbers, return_index=True)[1])


def _apart(
    rows: Iterable[int],
    coarse: Features,
    picks: Rows,
    count: int,
) -> Rows:
    """The first `count` rows that are near copies neither of each other nor of `picks`.

    A row that comes twice is a copy of itself.
    """
    end = len(picks) + count
    near = [*picks]
    for row in rows:
        distances = np.sqrt(((coarse[near] - coarse[row]) ** 2).mean(axis=1))
        if not (distances < NEAR).any():
            near.append(row)
        if len(near) >= end:
            break
    return np.array(near[len(picks) : end], np.int64)
