"""Split raw data into train, validation, test and hold-out, stratified; summarise the splits."""

from collections.abc import Sequence
from fractions import Fraction
from itertools import combinations
from math import ceil
from typing import TYPE_CHECKING, Annotated, Any, Literal

import numpy as np
from numpy.random import Generator
from pydantic import Field, model_validator

from imageproof.base.dataset import Labels, Rows
from imageproof.base.errors import DataError
from imageproof.base.files import StrictModel
from imageproof.base.text import first_names
from imageproof.data import grouping

if TYPE_CHECKING:
    import pandas as pd

Share = Annotated[float, Field(gt=0, lt=1)]


class OfficialParams(StrictModel):
    """Fractions of the official training part; the official test part is the test split."""

    validation: Share
    holdout: Share

    @model_validator(mode="after")
    def _leaves_training_rows(self) -> "OfficialParams":
        total = _exact(self.validation) + _exact(self.holdout)
        if total >= 1:
            raise ValueError(f"validation + holdout is {float(total):g}; it must be below 1")
        return self


class StratifiedParams(StrictModel):
    """`test` is a fraction of all rows, `holdout` one of those rows, `validation` of all others."""

    test: Share
    holdout: Share
    validation: Share


class SplitParams(StrictModel):
    """`split:` in params.yaml.

    With `holdout_within_test` the hold-out rows are test rows, too: not independent results.
    Of images with equal pixels, `drop` uses only the first, and `together` draws only the first:
    the others go where it goes. The rows of a `group`, a column of labels.csv, go into one part.
    """

    method: Literal["official", "stratified"]
    official: OfficialParams
    stratified: StratifiedParams
    holdout_within_test: bool
    copies: Literal["keep", "drop", "together"]
    group: Annotated[str, Field(min_length=1, max_length=100)] | None

    @model_validator(mode="after")
    def _official_test_is_as_it_is(self) -> "SplitParams":
        if self.holdout_within_test and self.method == "official":
            raise ValueError("holdout_within_test: true needs method: stratified")
        if self.copies == "together" and self.method == "official":
            raise ValueError("copies: together needs method: stratified; drop needs none")
        return self

    def shares(self) -> dict[str, float]:
        """Of the rows drawn from, by part; the training part, and an official test, have no own."""
        if self.method == "official":
            return self.official.model_dump()
        test, holdout = self.stratified.test, self.stratified.holdout
        validation = (1 - test) * self.stratified.validation
        return {"holdout": test * holdout, "test": test * (1 - holdout), "validation": validation}


def sample(labels: Labels, rows: Rows, percent: float, seed: int) -> Rows:
    """Draw `percent` of these rows of each class, rounded up: row numbers, ascending.

    With the same seed, a smaller percentage draws a subset of what a larger one draws.
    """
    of_class = np.bincount(labels[rows]).tolist()
    counts = [ceil(count * _exact(percent) / 100) for count in of_class]
    return _draw(labels, rows, counts, np.random.default_rng(seed))[0]


def split(
    rows: "pd.DataFrame", *, percent: float, params: SplitParams, seed: int
) -> dict[str, Rows]:
    """Draw `percent` of each class, and split it into `train`, `validation`, `test`, `holdout`.

    `rows` has the part, label and hash of each image, as `packed.Packed`; the result numbers them.

    `official`: the sizes are exact in total, and divided among the classes by largest
    remainder. `stratified`: within each class, the larger piece is rounded up, as R's
    caret::createDataPartition does; an official test part is not used. With a `group` whole groups
    are divided, see `grouping.divide`; a DataError if one is in two parts.
    Training rows are in random order, all others ascending. Equal input gives equal splits.
    """
    official, ends = params.method == "official", int((rows["part"] == "train").sum())
    if official and ends == len(rows):
        raise DataError("data: no official test part; use `split.method: stratified`")
    rows = rows if official else rows[:ends]
    labels = rows["label"].to_numpy()
    firsts = every = np.arange(len(labels))
    if params.copies != "keep":
        hashes = rows["hash"].to_numpy()
        _, first, group = np.unique(hashes, return_index=True, return_inverse=True)
        firsts = first[group]
    usable = every[firsts == every]
    of_parts = np.split(usable, [np.searchsorted(usable, ends)])
    drawn = [sample(labels, own, percent, seed) for own in of_parts]
    rng, names = np.random.default_rng(seed), None
    if params.group:
        names = grouping.names_of(rows, params.group)
        groups = grouping.joined(names, firsts if params.copies == "together" else every)
        parts = _grouped(labels, drawn, groups, params, rng)
    elif official:
        parts = _official(labels, drawn[0], drawn[1], params.official, rng)
    else:
        parts = _stratified(labels, drawn[0], params, rng)
    if params.copies == "together":
        parts = {name: np.flatnonzero(np.isin(firsts, own)) for name, own in parts.items()}
    parts["train"] = rng.permutation(parts["train"])
    if names is not None:
        apart = parts | ({"holdout": every[:0]} if params.holdout_within_test else {})
        grouping.check(apart, names)
    classes = np.unique(labels[np.concatenate([*parts.values()])])
    for name, own in parts.items():
        if missing := np.setdiff1d(classes, labels[own]).tolist():
            found = f"{name} gets no row of class {first_names([*map(str, missing)])}"
            what = "groups with rows of it" if params.group else "rows of it"
            share = "data.percent" if percent < 100 else f"the shares of split.{params.method}"
            raise DataError(f"data: {found}; add {what}, or raise {share}")
    return parts


def summarise_splits(parts: dict[str, Rows], rows: "pd.DataFrame") -> dict[str, Any]:
    """Rows, rows per class, overlaps and copies, ready for JSON.

    `overlaps` counts the images that are in both parts of a pair, `copies` the rows of a part whose
    pixels are those of a training row.
    """
    hashes = {name: rows["hash"].to_numpy()[own] for name, own in parts.items()}
    labels = rows["label"].to_numpy()
    return {
        "rows": {name: len(own) for name, own in parts.items()},
        "class_counts": {
            name: {str(c): count for c, count in enumerate(np.bincount(labels[own]).tolist())}
            for name, own in parts.items()
        },
        "overlaps": {
            f"{first}-{second}": len(np.intersect1d(hashes[first], hashes[second]))
            for first, second in combinations(parts, 2)
        },
        "copies": {
            name: int(np.isin(images, hashes["train"]).sum())
            for name, images in hashes.items()
            if name != "train"
        },
    }


def _official(
    labels: Labels, rows: Rows, test: Rows, shares: OfficialParams, rng: Generator
) -> dict[str, Rows]:
    validation, rest = _draw(labels, rows, _apportion(labels[rows], shares.validation), rng)
    holdout, train = _draw(labels, rest, _apportion(labels[rows], shares.holdout), rng)
    return {"train": train, "validation": validation, "test": test, "holdout": holdout}


def _stratified(labels: Labels, rows: Rows, params: SplitParams, rng: Generator) -> dict[str, Rows]:
    shares = params.stratified
    held_out, learning = _draw(labels, rows, _floor(labels[rows], shares.test), rng)
    holdout, test = _draw(labels, held_out, _floor(labels[held_out], shares.holdout), rng)
    validation, train = _draw(labels, learning, _floor(labels[learning], shares.validation), rng)
    return {
        "train": train,
        "validation": validation,
        "test": held_out if params.holdout_within_test else test,
        "holdout": holdout,
    }


def _grouped(
    labels: Labels, drawn: Sequence[Rows], groups: Rows, params: SplitParams, rng: Generator
) -> dict[str, Rows]:
    parts = grouping.divide(labels, drawn[0], groups, params.shares(), rng)
    if params.method == "official":
        parts["test"] = drawn[1]
    elif params.holdout_within_test:
        parts["test"] = np.union1d(parts["test"], parts["holdout"])
    return {name: parts[name] for name in ("train", "validation", "test", "holdout")}


def _draw(labels: Labels, rows: Rows, counts: list[int], rng: Generator) -> tuple[Rows, Rows]:
    """Draw counts[c] of the rows of each class c; the drawn and the other rows, both ascending."""
    of_class = [rows[labels[rows] == label] for label in range(len(counts))]
    picked = [rng.permutation(own)[:count] for own, count in zip(of_class, counts, strict=True)]
    drawn = np.concatenate([rows[:0], *picked])
    return np.sort(drawn), np.setdiff1d(rows, drawn, assume_unique=True)


def _floor(labels: Labels, share: float) -> list[int]:
    return [int(count * _exact(share)) for count in np.bincount(labels).tolist()]


def _apportion(labels: Labels, share: float) -> list[int]:
    """A share of all rows, rounded once, divided among the classes by largest remainder."""
    quotas = [count * _exact(share) for count in np.bincount(labels).tolist()]
    seats = [int(quota) for quota in quotas]
    by_remainder = sorted(range(len(quotas)), key=lambda c: seats[c] - quotas[c])
    for label in by_remainder[: round(sum(quotas)) - sum(seats)]:
        seats[label] += 1
    return seats


def _exact(share: float) -> Fraction:
    """The decimal as written: 0.07 of 100 rows is 7; as a float it is 7.000000000000001."""
    return Fraction(str(share))
