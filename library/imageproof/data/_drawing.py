"""Draw rows of each class at random: a sample, and the parts of a split."""

from fractions import Fraction
from math import ceil

import numpy as np
from numpy.random import Generator

from imageproof.base._dataset import Labels, Rows
from imageproof.data.split_params import OfficialParams, StratifiedParams, exact

Parts = dict[str, Rows]


def sample(
    labels: Labels,
    rows: Rows,
    percent: float,
    seed: int,
) -> Rows:
    """Draw `percent` of these rows of each class, rounded up: row numbers, ascending.

    With the same seed, a smaller percentage draws a subset of what a larger one draws.
    """
    sizes = np.bincount(labels[rows]).tolist()
    counts = [ceil(size * exact(percent) / 100) for size in sizes]
    return _draw(labels, rows, counts, np.random.default_rng(seed))[0]


def official(
    labels: Labels,
    rows: Rows,
    shares: OfficialParams,
    rng: Generator,
) -> Parts:
    """Draw validation and hold-out rows, each a share of all rows, divided among the classes."""
    validation, remainder = _draw(labels, rows, _apportion(labels[rows], shares.validation), rng)
    holdout, train = _draw(labels, remainder, _apportion(labels[rows], shares.holdout), rng)
    return {"train": train, "validation": validation, "holdout": holdout}


def stratified(
    labels: Labels,
    rows: Rows,
    shares: StratifiedParams,
    rng: Generator,
) -> Parts:
    """Draw each part as a share of each class, rounded down; training gets what is left."""
    held_out, learning = _draw(labels, rows, _floor(labels[rows], shares.test), rng)
    holdout, test = _draw(labels, held_out, _floor(labels[held_out], shares.holdout), rng)
    validation, train = _draw(labels, learning, _floor(labels[learning], shares.validation), rng)
    return {"train": train, "validation": validation, "test": test, "holdout": holdout}


def _draw(
    labels: Labels,
    rows: Rows,
    counts: list[int],
    rng: Generator,
) -> tuple[Rows, Rows]:
    """Draw counts[c] of the rows of each class c; the drawn and the other rows, both ascending."""
    drawn = [
        rng.permutation(rows[labels[rows] == label])[:count] for label, count in enumerate(counts)
    ]
    picks = np.sort(np.concatenate([rows[:0], *drawn]))
    return picks, np.setdiff1d(rows, picks, assume_unique=True)


def _floor(labels: Labels, share: float) -> list[int]:
    return [int(count * exact(share)) for count in np.bincount(labels).tolist()]


def _apportion(labels: Labels, share: float) -> list[int]:
    """A share of all rows, rounded once, divided among the classes by largest remainder."""
    quotas: list[Fraction] = [size * exact(share) for size in np.bincount(labels).tolist()]
    seats = [int(quota) for quota in quotas]
    by_remainder = sorted(range(len(quotas)), key=lambda label: seats[label] - quotas[label])
    for label in by_remainder[: round(sum(quotas)) - sum(seats)]:
        seats[label] += 1
    return seats
