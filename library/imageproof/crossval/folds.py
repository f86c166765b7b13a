"""The folds of a cross-validation, and what more images would bring."""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from imageproof.base.dataset import Dataset, Labels, Rows
from imageproof.base.errors import DataError
from imageproof.judge.comparison import Candidate, compare_pair

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
    fold = _parts(data, folds, seed)
    for number in range(folds):
        learning = np.flatnonzero(fold != number)
        if quarters < QUARTERS:
            learning = learning[_parts(data.take(learning), QUARTERS, seed) < quarters]
        part = _parts(data.take(learning), max(2, round(1 / share)), seed)
        yield Fold(learning[part > 0], learning[part == 0], np.flatnonzero(fold == number))


def _parts(data: Dataset, parts: int, seed: int) -> Rows:
    """The part of each row, 0…parts - 1, stratified by class."""
    from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold

    assert data.groups is not None
    options = {"n_splits": parts, "shuffle": True, "random_state": seed}
    _, first, group = np.unique(data.groups, return_index=True, return_inverse=True)
    if 2 * len(first) > len(data):  # few copies: many times faster, and as good
        part = _numbered(StratifiedKFold(**options), data.labels[first])
        return np.asarray(part[group])
    return _numbered(StratifiedGroupKFold(**options), data.labels, data.groups)


def _numbered(splitter: Any, labels: Labels, groups: Rows | None = None) -> Rows:
    """The number of the part in which a splitter of scikit-learn holds out each row."""
    part = np.empty(len(labels), np.int64)
    for number, (_, rows) in enumerate(splitter.split(labels, labels, groups)):
        part[rows] = number
    return part


def check_classes(data: Dataset, names: Sequence[str], *, folds: int) -> None:
    """A DataError if a class has so few groups that a fold may learn or test nothing of it."""
    assert data.groups is not None
    for label, name in enumerate(names):
        count = len(np.unique(data.groups[data.labels == label]))
        if count < folds:
            fault = f"class {name} has {count} groups or different images"
            raise DataError(f"{fault}, --folds is {folds}; ask for fewer folds, or add images")


def would_more_help(
    all_images: Labels,
    three_quarters: Labels,
    labels: Labels,
    groups: Rows | None,
) -> str:
    """What the last quarter of the images brought, in words, by the classes predicted with each."""
    candidates = (Candidate("all", all_images, None), Candidate("fewer", three_quarters, None))
    pair = compare_pair(*candidates, labels, groups)
    points = 100 * (pair.gain if pair.better == "all" else -pair.gain)
    sentence = f"the last quarter of the images brought {points:+.1f} points"
    if pair.within_noise:
        return f"{sentence}, which may be chance: more of the kind may not help"
    return f"{sentence}: more images will {'probably' if points > 0 else 'hardly'} help"
