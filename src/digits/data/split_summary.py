"""A summary of the splits: rows, classes, and images that occur in more than one split."""

from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray

from digits.core.dataset import RawData, Split, fingerprints


def summarise_splits(splits: dict[str, Split], raw: RawData) -> dict[str, Any]:
    """Rows, rows per class, overlaps and unused rows, ready for JSON.

    `learning_rows` counts train and validation together, `held_out_rows` test and hold-out;
    a row that is in both splits counts once.
    """
    return {
        "rows": {name: len(part.rows) for name, part in splits.items()},
        "learning_rows": len(_union(splits["train"], splits["validation"])),
        "held_out_rows": len(_union(splits["test"], splits["holdout"])),
        "unused_rows": _unused(splits, raw),
        "class_counts": {name: _counts_by_class(part) for name, part in splits.items()},
        "overlaps": overlaps(splits),
    }


def overlaps(splits: dict[str, Split]) -> dict[str, dict[str, int]]:
    """What each pair of splits shares, by names such as `train-test`; 0 if nothing.

    `images` counts distinct image contents in both. `shared_rows` counts raw rows in both; it is
    above 0 only with `holdout_within_test`.
    """
    contents = {name: set(fingerprints(part.data.images)) for name, part in splits.items()}
    return {
        f"{first}-{second}": {
            "images": len(contents[first] & contents[second]),
            "shared_rows": len(np.intersect1d(splits[first].rows, splits[second].rows)),
        }
        for first, second in combinations(splits, 2)
    }


def _counts_by_class(part: Split) -> dict[str, int]:
    return {str(label): count for label, count in enumerate(np.bincount(part.data.labels).tolist())}


def _union(first: Split, second: Split) -> NDArray[np.int64]:
    return np.union1d(first.rows, second.rows)


def _unused(splits: dict[str, Split], raw: RawData) -> dict[str, int]:
    """Raw rows that are in no split: `percent` and `stratified` leave some out."""
    used = np.unique(np.concatenate([part.rows for part in splits.values()]))
    from_train = int(np.count_nonzero(used < len(raw.train)))
    official = len(raw.test) if raw.test else 0
    return {
        "train": len(raw.train) - from_train,
        "official_test": official - (len(used) - from_train),
    }
