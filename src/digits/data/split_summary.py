"""What a split holds, and the proof that no image stands in two of its parts."""

from itertools import combinations
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from digits.core.dataset import RawData, Split, fingerprints


class Overlap(NamedTuple):
    """What two splits have in common."""

    first: str
    second: str
    images: int  # distinct image contents that stand in both
    shared_rows: int  # the same raw row in both, which only `holdout_within_test` brings about


def overlaps(splits: dict[str, Split]) -> list[Overlap]:
    """Compare the image contents of each pair of splits; pairs without overlap are listed too."""
    contents = {name: set(fingerprints(part.data.images)) for name, part in splits.items()}
    return [
        Overlap(
            first,
            second,
            images=len(contents[first] & contents[second]),
            shared_rows=len(np.intersect1d(splits[first].rows, splits[second].rows)),
        )
        for first, second in combinations(splits, 2)
    ]


def describe(splits: dict[str, Split], raw: RawData) -> dict[str, Any]:
    """What was drawn, ready for JSON: rows, rows per class, overlaps, and rows left unused.

    `learning_rows` are train and validation together, `held_out_rows` test and hold-out;
    a row that stands in both counts once.
    """
    return {
        "rows": {name: len(part.rows) for name, part in splits.items()},
        "learning_rows": len(_union(splits["train"], splits["validation"])),
        "held_out_rows": len(_union(splits["test"], splits["holdout"])),
        "unused_rows": _unused(splits, raw),
        "class_counts": {name: _counts_by_class(part) for name, part in splits.items()},
        "overlaps": {
            f"{pair.first}-{pair.second}": {"images": pair.images, "shared_rows": pair.shared_rows}
            for pair in overlaps(splits)
        },
    }


def _counts_by_class(part: Split) -> dict[str, int]:
    return {str(label): count for label, count in enumerate(np.bincount(part.data.labels).tolist())}


def _union(first: Split, second: Split) -> NDArray[np.int64]:
    return np.union1d(first.rows, second.rows)


def _unused(splits: dict[str, Split], raw: RawData) -> dict[str, int]:
    """Rows of each raw part that no split holds: `percent` and `stratified` leave some out."""
    used = np.unique(np.concatenate([part.rows for part in splits.values()]))
    from_train = int(np.count_nonzero(used < len(raw.train)))
    official = len(raw.test) if raw.test else 0
    return {
        "train": len(raw.train) - from_train,
        "official_test": official - (len(used) - from_train),
    }
