"""Rows as they are packed, and how they are split."""

import pandas as pd
from example import changed

from imageproof.data import splitting
from imageproof.data.split_params import SplitParams

NAMES = [*"abcdefghij"]  # of the classes


def split_params(**changes):
    """`split:` of params.yaml with such changes."""
    keys = {f"split.{key}": value for key, value in changes.items()}
    return SplitParams(**changed(keys)["split"])


def rows_with(labels, **columns):
    """Training rows of different images with these labels and further columns."""
    rows = pd.DataFrame({"part": "train", "label": labels})
    hashes = [f"{number:032x}" for number in rows.index]
    return rows.assign(name=hashes, hash=hashes, source_hash=hashes, **columns)


def split(rows, seed=1, percent=100, **changes):
    """The rows split by params.yaml with such changes of `split:`."""
    params = split_params(**changes)
    return splitting.split(rows, percent=percent, params=params, seed=seed, names=NAMES)
