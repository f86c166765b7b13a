"""Parts by the hash of each image or group: none moves when others come or go."""

from hashlib import blake2b

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from imageproof.base._connected import connected_rows
from imageproof.base._dataset import Rows
from imageproof.base.errors import DataError
from imageproof.base.text import first_names
from imageproof.data.grouping import TABLE, names_of
from imageproof.data.packed import SOURCE_HASH
from imageproof.data.split_params import SplitParams

# a larger share moves rows of the parts after it
PARTS = ("holdout", "test", "validation", "train")
MAX_SHARE = 0.2  # of the rows, for a group: the parts could not get their shares


def divide(
    rows: pd.DataFrame,
    percent: float,
    params: SplitParams,
    seed: int,
) -> dict[str, Rows]:
    """Divide `percent` of the rows into parts with about the shares of `split.hashed`.

    `rows` has the SOURCE_HASH of each, and the column of `params.group`. Rows with one hash are in
    one part, and so are groups that share an image: in that of the group with most rows.
    A DataError if all images are equal, or a group has more than MAX_SHARE of the rows.
    """
    keys = rows[SOURCE_HASH]
    if keys.nunique() == 1:
        raise DataError(f"data: all {len(keys):,} images are equal; add others")
    is_drawn = _places(keys, f"{seed} percent") < percent / 100
    if params.copies == "drop":
        is_drawn &= ~keys.duplicated().to_numpy()
    if params.group:
        keys = _largest_groups(rows, params.group)
        counts = keys.value_counts()
        if counts.iloc[0] > MAX_SHARE * len(keys):
            raise DataError(
                f"{TABLE}: split.group: {counts.index[0]} has {counts.iloc[0]:,} of {len(keys):,} "
                f"rows, with groups that have one of its images; at most {100 * MAX_SHARE:g} % are "
                "allowed: choose a finer column, or split.method: stratified"
            )
    homes = _homes(keys, params, seed)
    return {part: np.flatnonzero(is_drawn & (homes == part)) for part in PARTS}


def moved_groups(rows: pd.DataFrame, params: SplitParams, seed: int) -> list[str]:
    """A line that names the groups which follow a larger group with one of their images into a
    part that is not that of their own hash; none if there are no such groups.
    """
    if not params.group:
        return []
    groups = names_of(rows, params.group)
    table = pd.DataFrame({"group": groups, "largest": _largest_groups(rows, params.group)})
    table = table.drop_duplicates()
    table["home"] = _homes(table["group"], params, seed)
    table["part"] = _homes(table["largest"], params, seed)
    moves = [
        f"{group} from {home} to {part}, where {largest} is"
        for group, largest, home, part in table.itertuples(index=False)
        if home != part
    ]
    reason = "groups move, as a larger one has one of their images"
    return [f"{len(moves):,} {reason}: {first_names(moves)}"] if moves else []


def _homes(
    keys: "pd.Series[str]",
    params: SplitParams,
    seed: int,
) -> NDArray[np.str_]:
    """The part that the hash of each key falls into."""
    shares = params.hashed.model_dump()
    bounds = np.cumsum([shares[part] for part in PARTS[:-1]])
    numbers = np.searchsorted(bounds, _places(keys, str(seed)), side="right")
    return np.array(PARTS)[numbers]


def _places(keys: "pd.Series[str]", salt: str) -> NDArray[np.float64]:
    """A place in 0…1 for each key, as if drawn at random; equal keys, equal places."""
    numbers, names = keys.factorize()
    digests = [blake2b(f"{salt} {name}".encode(), digest_size=8).digest() for name in names]
    places: NDArray[np.float64] = np.frombuffer(b"".join(digests), ">u8")[numbers] / 2**64
    return places


def _largest_groups(rows: pd.DataFrame, column: str) -> "pd.Series[str]":
    """For each row the largest of the groups that are connected by equal images."""
    names = names_of(rows, column)
    table = pd.DataFrame({"group": names, "component": connected_rows(names, rows[SOURCE_HASH])})
    counts = table.value_counts().reset_index()
    counts = counts.sort_values(["count", "group"], ascending=[False, True])
    largest = counts.drop_duplicates("component").set_index("component")["group"]
    return table["component"].map(largest)
