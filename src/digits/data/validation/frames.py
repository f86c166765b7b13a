"""The raw data as data frames: one row per image, and one row per class."""

from typing import Any

import numpy as np
import pandas as pd

from digits.core.dataset import Dataset, RawData, fingerprints


def raw_frame(raw: RawData) -> pd.DataFrame:
    """One row per image of the training part, then of the official test part.

    Columns: part (`train` or `test`), row (in its part, from 0), label, shape (`28x28`),
    min_pixel and max_pixel (missing if any pixel is missing), mean_ink (mean grey value),
    contrast (max_pixel - min_pixel), duplicate_of (the first row of the same part with equal
    pixels; missing for that row itself), same_as_train (for a test row, the training row with
    equal pixels; missing if there is none).
    """
    first_in_train = _first_rows(fingerprints(raw.train.images))
    frames = [_part_frame("train", raw.train, {})]
    if raw.test is not None:
        frames.append(_part_frame("test", raw.test, first_in_train))
    return pd.concat(frames, ignore_index=True)


def class_frame(rows: pd.DataFrame, classes: int) -> pd.DataFrame:
    """One row per class 0…classes-1 of one part: part, class, rows, and relative_share.

    relative_share is the class's share of the part's rows times `classes`: 1 if all classes
    are equally frequent, missing if the class has no rows.
    """
    counts = np.array([int((rows["label"] == label).sum()) for label in range(classes)])
    share = pd.Series(counts * float(classes) / len(rows)).where(counts > 0).round(4)
    columns = {"part": rows["part"].iloc[0], "class": range(classes), "rows": counts}
    return pd.DataFrame(columns | {"relative_share": share})


def part_summary(rows: pd.DataFrame, classes: int) -> dict[str, Any]:
    """Counts and mean ink of one part, ready for JSON."""
    return {
        "rows": len(rows),
        "shapes": sorted(rows["shape"].unique().tolist()),
        "class_counts": {str(c): int((rows["label"] == c).sum()) for c in range(classes)},
        "mean_ink": round(float(rows["mean_ink"].mean()), 4),
        "blank_images": int((rows["contrast"] == 0).sum()),
        "duplicate_images": int(rows["duplicate_of"].notna().sum()),
        "images_also_in_train": int(rows["same_as_train"].notna().sum()),
    }


def _part_frame(part: str, dataset: Dataset, first_in_train: dict[bytes, int]) -> pd.DataFrame:
    images = dataset.images
    low, high = images.min(axis=(1, 2)), images.max(axis=(1, 2))
    hashes = fingerprints(images)
    first = _first_rows(hashes)
    earlier = [first[key] if first[key] < row else None for row, key in enumerate(hashes)]
    return pd.DataFrame(
        {
            "part": part,
            "row": np.arange(len(dataset)),
            "label": dataset.labels,
            "shape": f"{images.shape[1]}x{images.shape[2]}",
            "min_pixel": low,
            "max_pixel": high,
            "mean_ink": images.mean(axis=(1, 2)).round(2),
            "contrast": high - low,  # never negative, so uint8 cannot wrap around
            "duplicate_of": pd.array(earlier, dtype="Int64"),
            "same_as_train": pd.array([first_in_train.get(key) for key in hashes], dtype="Int64"),
        }
    )


def _first_rows(hashes: list[bytes]) -> dict[bytes, int]:
    return {key: row for row, key in reversed([*enumerate(hashes)])}
