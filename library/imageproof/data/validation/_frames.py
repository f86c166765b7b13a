"""The tables that expectations check: of images, and of classes."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from imageproof.data.packed import Packed


def image_frame(packed: Packed, class_names: Sequence[str]) -> pd.DataFrame:
    """The rows of `packed`, with more columns that expectations may name.

    aspect (width / height as stored, 1 if that of the model's images) and scale (below 1 if it is
    smaller than those); duplicate_of and same_as_train (for a test row) name an earlier image with
    equal pixels; other_label is that of an equal one.
    """
    height, width = packed.images.shape[1:3]
    frame = packed.rows.drop(columns="hash")
    frame["aspect"] = (frame["width"] / frame["height"] / (width / height)).round(2)
    frame["scale"] = np.minimum(frame["width"] / width, frame["height"] / height).round(2)

    hashes = packed.rows["hash"][frame["fault"].isna()]
    hashes = hashes[hashes.duplicated(keep=False)]  # mostly few rows: the work takes little memory
    copies = packed.rows.loc[hashes.index, ["part", "label", "name", "hash"]]
    in_part = copies.groupby(["part", "hash"], observed=True)["name"].transform("first")
    first = copies.groupby("hash")[["part", "label", "name"]].transform("first")
    is_as_train = (copies["part"] == "test") & (first["part"] == "train")
    other_label = first["label"][first["label"] != copies["label"]]
    columns = {
        "duplicate_of": in_part[copies.duplicated(["part", "hash"])],
        "same_as_train": first["name"][is_as_train],
        "other_label": other_label.map(dict(enumerate(class_names))),
    }
    for name, values in columns.items():
        frame[name] = values.astype("category")  # a byte for each row without one
    return frame


def class_frame(rows: pd.DataFrame, names: Sequence[str]) -> pd.DataFrame:
    """One row per class of one part: part, class, name, rows, and relative_share.

    That is 1 if all classes are equally frequent, and missing if the class has no rows.
    """
    counts = rows["label"].value_counts().reindex(range(len(names)), fill_value=0)
    counts = counts.rename_axis(None)  # Great Expectations looks for columns in a named index
    share = counts * len(names) / len(rows)
    columns = {
        "part": rows["part"].iloc[0],
        "class": counts.index,
        "name": [f"class {name}" for name in names],
        "rows": counts,
        "relative_share": share.where(share > 0).round(4),
    }
    return pd.DataFrame(columns)
