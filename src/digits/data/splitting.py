"""Split raw data into train, validation, test and hold-out, stratified; summarise the splits."""

from fractions import Fraction
from itertools import combinations
from math import ceil
from typing import Annotated, Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from digits.core.dataset import Dataset, Labels, RawData, Split, fingerprints
from digits.core.errors import DataError
from digits.core.files import StrictModel

Rows = NDArray[np.int64]
Share = Annotated[float, Field(gt=0, lt=1)]


class OfficialParams(StrictModel):
    """Fractions of the official training part; the remaining rows are for training.

    The official test part is the test split.
    """

    validation: Share
    holdout: Share

    @model_validator(mode="after")
    def _leaves_training_rows(self) -> "OfficialParams":
        total = _exact(self.validation) + _exact(self.holdout)
        if total >= 1:
            raise ValueError(f"validation + holdout is {float(total):g}; it must be below 1")
        return self


class StratifiedParams(StrictModel):
    """`test` is the fraction of all rows that is never trained on.

    `holdout` is a fraction of those rows, `validation` a fraction of all other rows.
    """

    test: Share
    holdout: Share
    validation: Share


class SplitParams(StrictModel):
    """`split:` in params.yaml.

    With `holdout_within_test` the hold-out rows are test rows, too. Then the results on the two
    splits are not independent.
    """

    method: Literal["official", "stratified"]
    official: OfficialParams
    stratified: StratifiedParams
    holdout_within_test: bool

    @model_validator(mode="after")
    def _official_test_has_no_holdout(self) -> "SplitParams":
        if self.holdout_within_test and self.method == "official":
            raise ValueError("holdout_within_test: true needs method: stratified")
        return self


def sample(dataset: Dataset, percent: float, seed: int) -> Rows:
    """Draw `percent` of the rows of each class, rounded up: row numbers int64, ascending.

    With the same seed, a smaller percentage draws a subset of what a larger one draws.
    """
    counts = [ceil(count * _exact(percent) / 100) for count in _class_counts(dataset.labels)]
    drawn, _ = _draw(dataset.labels, np.arange(len(dataset)), counts, np.random.default_rng(seed))
    return drawn


def split(raw: RawData, *, percent: float, params: SplitParams, seed: int) -> dict[str, Split]:
    """Draw `percent` of each class, and split it into `train`, `validation`, `test`, `holdout`.

    `official`: the sizes are exact in total, and divided among the classes by largest
    remainder. `stratified`: within each class, the larger piece is rounded up, as R's
    caret::createDataPartition does; an official test part is not used at all.
    Training rows are in random order, all others ascending. Equal raw data, params and seed
    give equal splits.

    Raises:
        DataError: `official` without an official test part, or a class with too few rows to
            be in every split.
    """
    if params.method == "official":
        splits = _official(raw, percent, params.official, seed)
    else:
        splits = _stratified(raw.train, percent, params, seed)
    _require_every_class(splits)
    return splits


def summarise_splits(splits: dict[str, Split], raw: RawData) -> dict[str, Any]:
    """Rows, rows per class, overlaps and unused rows, ready for JSON.

    `learning_rows` counts train and validation together, `held_out_rows` test and hold-out;
    a row that is in both splits counts once. `percent` and `stratified` leave rows unused.
    """
    used = np.unique(np.concatenate([part.rows for part in splits.values()]))
    of_train = int(np.count_nonzero(used < len(raw.train)))
    official = len(raw.test) if raw.test else 0
    return {
        "rows": {name: len(part.rows) for name, part in splits.items()},
        "learning_rows": len(np.union1d(splits["train"].rows, splits["validation"].rows)),
        "held_out_rows": len(np.union1d(splits["test"].rows, splits["holdout"].rows)),
        "unused_rows": {
            "train": len(raw.train) - of_train,
            "official_test": official - (len(used) - of_train),
        },
        "class_counts": {
            name: {str(label): count for label, count in enumerate(_class_counts(part.data.labels))}
            for name, part in splits.items()
        },
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


def _official(raw: RawData, percent: float, params: OfficialParams, seed: int) -> dict[str, Split]:
    if raw.test is None:
        raise DataError(
            "split.method: official, but the data has no official test part;"
            " use `split.method: stratified`"
        )
    rng = np.random.default_rng(seed)
    labels = raw.train.labels
    rows = sample(raw.train, percent, seed)
    validation, rest = _draw(labels, rows, _apportion(labels[rows], params.validation), rng)
    holdout, train = _draw(labels, rest, _apportion(labels[rows], params.holdout), rng)
    test = sample(raw.test, percent, seed)
    return {
        "train": _take(raw.train, rng.permutation(train)),
        "validation": _take(raw.train, validation),
        "test": Split(raw.test.take(test), test + len(raw.train)),
        "holdout": _take(raw.train, holdout),
    }


def _stratified(
    dataset: Dataset, percent: float, params: SplitParams, seed: int
) -> dict[str, Split]:
    rng = np.random.default_rng(seed)
    labels, shares = dataset.labels, params.stratified
    rows = sample(dataset, percent, seed)
    held_out, learning = _draw(labels, rows, _floor(labels[rows], shares.test), rng)
    holdout, test = _draw(labels, held_out, _floor(labels[held_out], shares.holdout), rng)
    validation, train = _draw(labels, learning, _floor(labels[learning], shares.validation), rng)
    return {
        "train": _take(dataset, rng.permutation(train)),
        "validation": _take(dataset, validation),
        "test": _take(dataset, held_out if params.holdout_within_test else test),
        "holdout": _take(dataset, holdout),
    }


def _draw(
    labels: Labels, rows: Rows, counts: list[int], rng: np.random.Generator
) -> tuple[Rows, Rows]:
    """Draw counts[c] of the rows of each class c; the drawn and the other rows, both ascending."""
    of_class = [rows[labels[rows] == label] for label in range(len(counts))]
    picked = [rng.permutation(own)[:count] for own, count in zip(of_class, counts, strict=True)]
    drawn = np.concatenate([rows[:0], *picked])
    return np.sort(drawn), np.setdiff1d(rows, drawn, assume_unique=True)


def _floor(labels: Labels, share: float) -> list[int]:
    """A share of each class, rounded down; caret rounds up the remaining piece."""
    return [int(count * _exact(share)) for count in _class_counts(labels)]


def _apportion(labels: Labels, share: float) -> list[int]:
    """A share of all rows, rounded once, divided among the classes by largest remainder."""
    quotas = [count * _exact(share) for count in _class_counts(labels)]
    seats = [int(quota) for quota in quotas]
    by_remainder = sorted(range(len(quotas)), key=lambda c: seats[c] - quotas[c])
    for label in by_remainder[: round(sum(quotas)) - sum(seats)]:
        seats[label] += 1
    return seats


def _exact(share: float) -> Fraction:
    """The decimal as written: 0.07 of 100 rows is 7; as a float it is 7.000000000000001."""
    return Fraction(str(share))


def _class_counts(labels: Labels) -> list[int]:
    counts: list[int] = np.bincount(labels).tolist()
    return counts


def _take(dataset: Dataset, rows: Rows) -> Split:
    return Split(dataset.take(rows), rows)


def _require_every_class(splits: dict[str, Split]) -> None:
    """Raise a DataError with one finding per class that is missing from a split."""
    present = {name: set(part.data.labels.tolist()) for name, part in splits.items()}
    missing = {
        label: [name for name in splits if label not in present[name]]
        for label in sorted(set().union(*present.values()))
    }
    if any(missing.values()):
        raise DataError(
            *(
                f"class {label} has too few rows: none for {', '.join(names)};"
                " add rows of it, or raise data.percent"
                for label, names in missing.items()
                if names
            )
        )
