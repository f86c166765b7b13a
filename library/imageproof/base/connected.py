"""Rows that belong together: of one group, or with equal pixels."""

from typing import TYPE_CHECKING, Any

import numpy as np

from imageproof.base.dataset import Dataset, Rows, fingerprints

if TYPE_CHECKING:
    import pandas as pd


def together(data: Dataset) -> Rows:
    """A number per row, int64 (n,): rows with equal pixels, or of one group, must stay together."""
    from pandas import Series  # half a second, which all commands would wait

    if data.groups is None:
        return np.unique(fingerprints(data.images), return_inverse=True)[1]
    return connected_rows(Series(data.groups), Series(fingerprints(data.images)))


def connected_rows(names: "pd.Series[str]", images: "pd.Series[Any] | pd.Index") -> Rows:
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
