"""Rows that belong together, of one group or with equal pixels; folds that do not part them."""

import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from imageproof.base._dataset import Dataset, Labels, Rows, fingerprints
from imageproof.base.errors import DataError

if TYPE_CHECKING:
    import pandas as pd

    Column = NDArray[Any] | pd.Series[Any] | pd.Index


def together(data: Dataset) -> Rows:
    """A number per row, int64 (n,): rows with equal pixels, or of one group, must stay together."""
    images = np.array(fingerprints(data.images))
    if data.groups is None:
        return np.unique(images, return_inverse=True)[1]
    return connected_rows(data.groups, images)


def connected_rows(names: "Column", images: "Column") -> Rows:
    """Component id per row, int64 (n,). Rows are connected if they are in one group, or have
    equal `images`.
    """
    from scipy.sparse import coo_array  # 0.2 s, which all commands would wait
    from scipy.sparse.csgraph import connected_components

    count = len(names)
    neighbours = [
        np.unique(values, return_index=True, return_inverse=True) for values in (names, images)
    ]
    ends = np.concatenate([first[number] for _, first, number in neighbours])
    starts = np.tile(np.arange(count), 2)
    graph = coo_array((np.ones(2 * count, np.int8), (starts, ends)), shape=(count, count))
    return np.asarray(connected_components(graph, directed=False)[1], dtype=np.int64)


def divided(
    labels: Labels,
    groups: Rows,
    folds: int,
    *,
    seed: int,
) -> Rows:
    """The fold of each row, 0…folds - 1: stratified by class, rows of one group in one fold.

    There are fewer if no class has so many groups, one if none has two.
    """
    from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold

    _, first, group = np.unique(groups, return_index=True, return_inverse=True)
    classes, _ = np.unique([labels, group], axis=1)  # of each group each class once
    folds = min(folds, int(np.bincount(classes).max()))
    if folds < 2:
        return np.zeros_like(labels)
    splitter: Any = StratifiedGroupKFold(folds, shuffle=True, random_state=seed)
    has_few_copies = 2 * len(first) > len(labels)
    if has_few_copies and np.bincount(labels[first]).max() >= folds:
        # a group counts in the class of its first row: many times faster, and as good
        splitter = StratifiedKFold(folds, shuffle=True, random_state=seed)
    else:
        first = group = np.arange(len(labels))
    fold = np.empty(len(first), np.int64)
    with warnings.catch_warnings(category=UserWarning, action="ignore"):  # of classes of few rows
        for number, (_, rows) in enumerate(splitter.split(first, labels[first], groups[first])):
            fold[rows] = number
    return np.asarray(fold[group])


def check_folds(data: Dataset, names: Sequence[str], folds: int) -> None:
    """A DataError if a class has so few groups that a fold may learn or test nothing of it."""
    assert data.groups is not None
    for label, name in enumerate(names):
        count = len(np.unique(data.groups[data.labels == label]))
        if count < folds:
            fault = f"class {name} has {count} groups or different images"
            raise DataError(f"{fault}, --folds is {folds}; ask for fewer folds, or add images")
