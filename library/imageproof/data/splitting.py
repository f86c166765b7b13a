"""Split raw data into train, validation, test and hold-out, stratified; summarise the splits."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.random import Generator
from numpy.typing import NDArray

from imageproof.base._dataset import SPLITS, Rows
from imageproof.base._naming import adapt_hint
from imageproof.base.errors import DataError
from imageproof.base.text import first_names
from imageproof.data import _drawing, _hashing, grouping
from imageproof.data._class_names import names_of_labels
from imageproof.data._drawing import Parts
from imageproof.data.packed import META, SOURCE_HASH
from imageproof.data.split_params import SplitParams

ONLY_TRAIN = f"{META}only_train"  # of labels.csv: of pictures that somebody chose, not chance
YES = "yes"


def split(
    rows: pd.DataFrame,
    *,
    percent: float,
    params: SplitParams,
    seed: int,
    names: Sequence[str] = (),
) -> Parts:
    """Draw `percent` of each class, and split it into `train`, `validation`, `test`, `holdout`.

    `rows` has the part, label and hash of each image, as `packed.Packed`; the result numbers them.
    `names` are those of the classes, by default their numbers.

    `official`: the sizes are exact in total, and divided among the classes by largest
    remainder. `stratified`: within each class, the larger piece is rounded up, as R's
    caret::createDataPartition does; an official test part is not used. With a `group` whole groups
    are divided, see `grouping.divide`; a DataError if one is in two parts. `hashed`: the part of a
    row depends on no other row, see `_hashing.divide`; `rows` has SOURCE_HASH, too. Rows with
    ONLY_TRAIN are training rows, unless their image or group is in another part.
    Training rows are in random order, all others ascending. Equal input gives equal splits.
    """
    end = int((rows["part"] == "train").sum())
    if params.method != "official":
        rows = rows[:end]
    elif end == len(rows):
        raise DataError(f"data: no official test part for split.method: official; {adapt_hint()}")
    rng = np.random.default_rng(seed)
    is_chosen = is_only_train(rows)
    divided = np.flatnonzero(~is_chosen)
    others = rows.iloc[divided].reset_index(drop=True)
    if params.method == "hashed":
        parts = _hashing.divide(others, percent, params, seed)
    else:
        parts = _draw_parts(others, percent, params, seed, rng)
    parts = {name: divided[part] for name, part in parts.items()}
    extra = _drawing.sample(rows["label"].to_numpy(), np.flatnonzero(is_chosen), percent, seed)
    parts["train"] = _with_extra(parts, extra, rows, params)
    parts = {name: parts[name] for name in SPLITS}  # in the order in which they are listed
    parts["train"] = rng.permutation(parts["train"])

    if params.group:
        grouping.check(parts, rows, params)
    _check_classes(_missing_classes(parts, rows, names), parts, params.method)
    return parts


def part_warnings(
    parts: Parts,
    rows: pd.DataFrame,
    params: SplitParams,
    seed: int,
    names: Sequence[str] = (),
) -> list[str]:
    """A line for a test part that is not used, and, where rows are hashed, for groups that move
    and for each part that lacks a class.
    """
    lines = []
    unused = int((rows["part"] == "test").sum())
    if params.method != "official" and unused:
        part = f"the data's own test part, {unused:,} images, is not used"
        lines.append(f"{part}; split.method: official uses it")
    if params.method != "hashed":
        return lines
    rows = rows[rows["part"] == "train"]
    lines += _hashing.moved_groups(rows[~is_only_train(rows)], params, seed)
    for name, classes in _missing_classes(parts, rows, names).items():
        lines.append(f"{name} has no row of class {classes}, and cannot judge it; add rows")
    return lines


def summarise_splits(parts: Parts, rows: pd.DataFrame) -> dict[str, Any]:
    """Rows, rows per class and copies, ready for JSON.

    `copies` counts the rows of a part whose pixels are those of a training row. A DataError if a
    row is in two parts, as a project's own function may divide them.
    """
    numbers = np.concatenate([*parts.values()])
    if len(np.unique(numbers)) < len(numbers):
        raise DataError("data: split gives a row to two parts; each may be in one")
    hashes = rows["hash"].to_numpy()
    labels = rows["label"].to_numpy()
    is_as_train = np.isin(hashes, hashes[parts["train"]])
    return {
        "rows": {name: len(part) for name, part in parts.items()},
        "class_counts": {
            name: {str(label): n for label, n in enumerate(np.bincount(labels[part]).tolist())}
            for name, part in parts.items()
        },
        "copies": {
            name: int(is_as_train[part].sum()) for name, part in parts.items() if name != "train"
        },
    }


def is_only_train(rows: pd.DataFrame) -> NDArray[np.bool_]:
    """Whether labels.csv says of a row that nothing may be judged by it."""
    values = rows.get(ONLY_TRAIN, pd.Series("", rows.index))
    if odd := sorted({*values} - {"", YES}):
        raise DataError(
            f"{grouping.TABLE}: column {ONLY_TRAIN.removeprefix(META)}: {first_names(odd)}; "
            f"{YES} or nothing is allowed"
        )
    return (values == YES).to_numpy()


def _draw_parts(
    rows: pd.DataFrame,
    percent: float,
    params: SplitParams,
    seed: int,
    rng: Generator,
) -> Parts:
    end = int((rows["part"] == "train").sum())
    labels = rows["label"].to_numpy()
    usable: Rows = np.arange(len(rows))
    if params.copies == "drop":  # all but the first of each image
        usable = np.flatnonzero(~rows["hash"].duplicated())
    training = _drawing.sample(labels, usable[usable < end], percent, seed)
    testing = _drawing.sample(labels, usable[usable >= end], percent, seed)
    if params.group:
        parts = grouping.divide(rows, training, params, rng)
    elif params.method == "official":
        parts = _drawing.official(labels, training, params.official, rng)
    else:
        parts = _drawing.stratified(labels, training, params.stratified, rng)
    if params.method == "official":
        parts["test"] = testing
    return parts


def _with_extra(
    parts: Parts,
    extra: Rows,
    rows: pd.DataFrame,
    params: SplitParams,
) -> Rows:
    """The training rows with the `extra` ones whose image and group are in no other part."""
    train = parts["train"]
    judging = np.concatenate([part for name, part in parts.items() if name != "train"])
    columns = ["hash", SOURCE_HASH]
    if params.group:
        columns.append(META + params.group)
    for column in columns:
        is_shared = rows[column].iloc[extra].isin(rows[column].iloc[judging])
        extra = extra[~is_shared.to_numpy()]
    if params.copies == "drop":
        is_copy = rows["hash"].iloc[np.concatenate([train, extra])].duplicated()
        extra = extra[~is_copy.to_numpy()[len(train) :]]
    return np.concatenate([train, extra])


def _missing_classes(
    parts: Parts,
    rows: pd.DataFrame,
    names: Sequence[str],
) -> dict[str, str]:
    """The classes of the rows that a part lacks, by part."""
    labels = rows["label"].to_numpy()
    classes = np.unique(labels)
    missing = {}
    for name, part in parts.items():
        numbers = np.setdiff1d(classes, labels[part])
        if numbers.size:
            missing[name] = first_names(names_of_labels(numbers.tolist(), names))
    return missing


def _check_classes(missing: Mapping[str, str], parts: Parts, method: str) -> None:
    """Raise a DataError if a part lacks a class; where rows are hashed, only for training rows."""
    for name, classes in missing.items():
        if method != "hashed" or name == "train" or not len(parts[name]):
            change = "lower" if name == "train" else "raise"
            raise DataError(
                f"data: {name} gets no row of class {classes}; add rows of it, raise data.percent, "
                f"or {change} the shares of split.{method}"
            )
