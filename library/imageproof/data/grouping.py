"""Groups whose rows stay in one part, such as the images of one writer."""

from collections.abc import Mapping
from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from imageproof.base.dataset import Labels, Rows
from imageproof.base.errors import DataError
from imageproof.base.text import first_names
from imageproof.data.packed import META

if TYPE_CHECKING:
    import pandas as pd

TABLE = "data/labels.csv"
DRAWS = 200

Counts = tuple[NDArray[np.floating], NDArray[np.floating]]  # each (classes,)


def names_of(rows: "pd.DataFrame", column: str) -> "pd.Series[str]":
    """The name of each row's group; a DataError if there is no such column, or an empty field."""
    if META + column not in rows:
        others = [name[len(META) :] for name in map(str, rows) if name.startswith(META)]
        known = (
            f"has {first_names(others)} beside file and label" if others else "has no such column"
        )
        raise DataError(f"{TABLE}: {known}; split.group is {column!r}, and may be null")
    names = rows[META + column]
    if (empty := names == "").any():
        found = f"empty for {empty.sum():,} pictures ({first_names(rows['name'][empty].tolist())})"
        raise DataError(f"{TABLE}: column {column}: {found}; fill it, or set split.group: null")
    return names


def numbers(rows: "pd.DataFrame", column: str | None) -> Rows | None:
    """A number per row, int64 (n,), equal where rows are of one group; None without groups."""
    return np.unique(rows[META + column], return_inverse=True)[1] if column else None


def joined(names: "pd.Series[str]", firsts: Rows) -> Rows:
    """Component id per row, int64 (n,). Rows are connected if they are in one group, or have
    equal pixels: `firsts` has the first row with the pixels of each row.
    """
    from scipy.sparse import coo_array  # 0.2 s, which all commands would wait
    from scipy.sparse.csgraph import connected_components

    rows = np.arange(len(names))
    _, first, group = np.unique(names, return_index=True, return_inverse=True)
    edges = np.tile(rows, 2), np.concatenate([firsts, first[group]])
    graph = coo_array((np.ones(2 * len(rows), np.int8), edges), shape=(len(rows), len(rows)))
    return np.asarray(connected_components(graph, directed=False)[1], dtype=np.int64)


def divide(
    labels: Labels, rows: Rows, groups: Rows, shares: Mapping[str, float], rng: Generator
) -> dict[str, Rows]:
    """Divide whole groups into parts with about these shares of each class, and `train`, the rest.

    `groups` numbers the group of every row. Each part gets a group at least; its rows ascend.
    """
    if (count := len(np.unique(groups[rows]))) <= len(shares):
        has = f"split.group makes {count} groups that may be in different parts"
        mend = f"{len(shares) + 1} are needed: add some, or set it to null"
        raise DataError(f"{TABLE}: {has}; {mend}")
    whole, parts, rest = np.bincount(labels[rows]), dict[str, Rows](), 1.0
    for left, (part, share) in zip(range(len(shares), 0, -1), shares.items(), strict=True):
        rest -= share
        aims = share * whole, rest * whole
        parts[part], rows = _draw(labels, rows, groups, aims, rng, leave=left)
    return parts | {"train": rows}


def _draw(
    labels: Labels, rows: Rows, groups: Rows, aims: Counts, rng: Generator, *, leave: int
) -> tuple[Rows, Rows]:
    """Draw whole groups: drawn and other rows, with about aims[0] and aims[1] rows of each class.

    Of DRAWS random orders of the groups, each cut where its rows are nearest to those asked for,
    the one is taken whose counts are nearest by their ratios: no row of a class is worse than twice
    as many. scikit-learn's GroupShuffleSplit takes a share of the groups, whatever their rows and
    classes, and StratifiedGroupKFold 1/k of the rows: from few groups both draw worse.
    """
    found, of_row = np.unique(groups[rows], return_inverse=True)
    table = np.zeros((len(found), len(aims[0])))
    np.add.at(table, (of_row, labels[rows]), 1)
    sizes, whole = table.sum(axis=1), table.sum(axis=0)
    best, nearest = found[:0], np.inf
    for _ in range(DRAWS):
        order = rng.permutation(len(found))
        misses = np.abs(sizes[order].cumsum() - aims[0].sum())
        end = min(int(misses.argmin()) + 1, len(found) - leave)
        drawn = table[order[:end]].sum(axis=0)
        ratios = np.log1p([drawn, whole - drawn]) - np.log1p(aims)
        if (miss := np.abs(ratios).sum()) < nearest:
            best, nearest = order[:end], miss
    taken = np.isin(of_row, best)
    return rows[taken], rows[~taken]


def check(parts: Mapping[str, Rows], names: "pd.Series[str]") -> None:
    """Raise a DataError if a group has rows in two of the parts."""
    groups = {part: {*names.iloc[own]} for part, own in parts.items()}
    for first, second in combinations(groups, 2):
        if both := sorted(groups[first] & groups[second]):
            found = f"{first_names(both)} ({len(both):,} of {names.nunique():,} groups)"
            rule = f"{found} in {first} and {second}; no group may be in two parts"
            mend = "if the official test part shares groups, use split.method: stratified"
            raise DataError(f"{TABLE}: split.group: {rule}: {mend}")


def count(parts: Mapping[str, Rows], rows: "pd.DataFrame", column: str) -> dict[str, int]:
    """How many groups are in each part."""
    return {part: rows[META + column].iloc[own].nunique() for part, own in parts.items()}
