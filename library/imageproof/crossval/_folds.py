"""The folds of a cross-validation, and what more images would bring."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from imageproof.base._connected import divided
from imageproof.base._dataset import Dataset, Labels, Rows
from imageproof.judge._comparison import is_noise, paired_test

QUARTERS = 4


class Fold(NamedTuple):
    """Numbers of rows: those that train, those by which the training chooses, and the tested."""

    train: Rows
    validation: Rows
    test: Rows


def folds_of(
    data: Dataset,
    *,
    folds: int,
    share: float,
    seed: int,
    quarters: int = QUARTERS,
) -> Iterator[Fold]:
    """The folds, with so many quarters of the images to learn from, of which a `share` validates.

    Rows of one of the data's groups are in one part. The tested rows do not depend on `quarters`.
    """
    labels = data.labels
    groups = data.groups
    assert groups is not None
    fold = divided(labels, groups, folds, seed=seed)
    for number in range(folds):
        learning = np.flatnonzero(fold != number)
        if quarters < QUARTERS:
            quarter = _parts(labels[learning], groups[learning], QUARTERS, seed)
            learning = learning[quarter < quarters]
        parts = max(2, round(1 / share))
        part = _parts(labels[learning], groups[learning], parts, seed)
        yield Fold(learning[part > 0], learning[part == 0], np.flatnonzero(fold == number))


def _parts(labels: Labels, groups: Rows, count: int, seed: int) -> Rows:
    """The part of each row, as `divided`; fewer parts if no class has so many groups."""
    _, first = np.unique(groups, return_index=True)
    count = min(count, int(np.bincount(labels[first]).max()))
    return divided(labels, groups, count, seed=seed) if count > 1 else np.zeros_like(labels)


def would_more_help(
    all_images: Labels,
    three_quarters: Labels,
    labels: Labels,
    groups: Rows | None,
) -> str:
    """What the last quarter of the images brought, in words, by the classes predicted with each."""
    change = np.equal(all_images, labels).astype(int) - np.equal(three_quarters, labels)
    points = 100 * change.mean()
    sentence = f"the last quarter of the images brought {points:+.1f} points"
    if is_noise(*paired_test(change, groups)):
        return f"{sentence}, which may be chance: more of the kind may not help"
    return f"{sentence}: more images will {'probably' if points > 0 else 'hardly'} help"
