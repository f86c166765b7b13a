"""Groups whose rows stay in one part, such as the images of one writer."""

from collections.abc import Mapping
from itertools import combinations

import numpy as np
import pandas as pd
from numpy.random import Generator
from numpy.typing import NDArray
from pandas.util import hash_array

from imageproof.base._dataset import Floats, Labels, Rows
from imageproof.base.errors import DataError
from imageproof.base.text import first_names
from imageproof.data.packed import META
from imageproof.data.split_params import SplitParams

TABLE = "data/labels.csv"
DRAWS = 200


def names_of(rows: pd.DataFrame, column: str | None) -> "pd.Series[str]":
    """The name of each row's group; a DataError if there is no such column, or an empty field."""
    key = f"{META}{column}"
    if key not in rows:
        raise DataError(f"{TABLE}: no such column; split.group is {column!r}, and may be null")
    names = rows[key]
    empty = rows["name"][names == ""].tolist()
    if empty:
        raise DataError(
            f"{TABLE}: column {column}: pictures without a value: {len(empty):,} "
            f"({first_names(empty)}); fill it, or set split.group: null"
        )
    return names


def numbers(rows: pd.DataFrame, column: str | None) -> Rows | None:
    """A number per row, int64 (n,), equal where rows are of one group; None without groups.

    It hashes the group's name: the same rows are the same file, whatever groups there are beside.
    """
    if not column:
        return None
    hashes = hash_array(rows[META + column].to_numpy(object))
    return (hashes >> np.uint64(1)).view(np.int64)  # a number below 0 is no group


def divide(
    rows: pd.DataFrame,
    drawn: Rows,
    params: SplitParams,
    rng: Generator,
) -> dict[str, Rows]:
    """Divide whole groups into parts with about the shares of each class in `params`.

    `drawn` numbers the rows to divide. Each part gets a group at least, if there are so many. Rows
    ascend; `train` gets what is left.
    """
    groups, _ = names_of(rows, params.group).factorize()
    shares = params.shares()
    labels = rows["label"].to_numpy()
    sizes = np.bincount(labels[drawn])
    parts = dict[str, Rows]()
    remainder = 1.0
    for index, (part, share) in enumerate(shares.items()):
        remainder -= share
        targets = np.stack([share * sizes, remainder * sizes])
        is_in_part = _draw(labels[drawn], groups[drawn], targets, rng, spare=len(shares) - index)
        parts[part] = drawn[is_in_part]
        drawn = drawn[~is_in_part]
    return parts | {"train": drawn}


def _draw(
    labels: Labels,
    groups: Rows,
    targets: Floats,
    rng: Generator,
    *,
    spare: int,
) -> NDArray[np.bool_]:
    """Draw whole groups; returns of each row whether it is drawn, bool (n,).

    They have about targets[0] rows of each class and leave targets[1] and at least `spare` groups.
    Of DRAWS random orders of the groups, each cut where its rows are nearest to those asked for,
    the one is taken whose counts are nearest by their ratios: no row of a class is worse than twice
    as many. Orders by which a part would lack a class come last. scikit-learn's GroupShuffleSplit
    takes a share of the groups, whatever their rows and classes, and StratifiedGroupKFold 1/k of
    the rows: from few groups both draw worse.
    """
    ids, index = np.unique(groups, return_inverse=True)
    table = np.zeros((len(ids), targets.shape[1]))
    np.add.at(table, (index, labels), 1)
    sizes = table.sum(axis=1)
    best = ids[:0]
    lowest = np.inf, np.inf
    for _ in range(DRAWS):
        order = rng.permutation(len(ids))
        misses = np.abs(sizes[order].cumsum() - targets[0].sum())
        end = min(int(misses.argmin()) + 1, len(ids) - spare)
        distance = _distance(table[order[:end]], table[order[end:]], targets, spare)
        if distance < lowest:
            best = order[:end]
            lowest = distance
    return np.isin(index, best)


def _distance(drawn: Floats, left: Floats, targets: Floats, spare: int) -> tuple[int, float]:
    """How many classes are in no drawn group, or in fewer than `spare` others; then the ratios."""
    is_lacking = ~drawn.any(axis=0) | (np.count_nonzero(left, axis=0) < spare)
    counts = [drawn.sum(axis=0), left.sum(axis=0)]
    ratios = np.log1p(counts) - np.log1p(targets)
    return int(is_lacking.sum()), float(np.abs(ratios).sum())


def check(parts: Mapping[str, Rows], rows: pd.DataFrame, params: SplitParams) -> None:
    """Raise a DataError if a group has rows in two parts."""
    names = names_of(rows, params.group)
    groups = {part: {*names.iloc[members]} for part, members in parts.items()}
    for first, second in combinations(groups, 2):
        shared = sorted(groups[first] & groups[second])
        if shared:
            raise DataError(
                f"{TABLE}: split.group: {first_names(shared)} in {first} and {second}; "
                "no group may be in two parts: "
                "if the official test part shares groups, use split.method: stratified"
            )


def count(
    parts: Mapping[str, Rows],
    rows: pd.DataFrame,
    column: str,
) -> dict[str, int]:
    """How many groups are in each part."""
    return {part: rows[META + column].iloc[members].nunique() for part, members in parts.items()}
