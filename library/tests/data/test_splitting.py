"""How rows are drawn and split: exact counts, seeded, disjoint, and honest about copies."""

import numpy as np
import pandas as pd
import pytest
from helpers import finding
from splits import rows_with, split, split_params

from imageproof.base._dataset import SPLITS
from imageproof.base.errors import DataError
from imageproof.data._drawing import sample
from imageproof.data.splitting import part_warnings, summarise_splits

KAGGLE_COUNTS = [4132, 4684, 4177, 4351, 4072, 3795, 4137, 4401, 4063, 4188]
TRAIN_COUNTS = [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]
OFFICIAL = {"method": "official"}


def packed(train, test=(0,)):
    """As many rows per class in each part, all of different images."""
    random = np.random.default_rng(0)
    labels = [random.permutation(np.repeat(range(len(sizes)), sizes)) for sizes in (train, test)]
    rows = rows_with(np.concatenate(labels))
    rows.loc[sum(train) :, "part"] = "test"
    return rows


def sizes(parts):
    return [len(parts[name]) for name in SPLITS]


def counts(rows, part):
    return np.bincount(rows["label"].to_numpy()[part]).tolist()


def drawn(parts):
    return sorted(np.concatenate([*parts.values()]))


def fault(*arguments, **changes):
    return finding(DataError, split, *arguments, **changes)


def test_official_sizes_are_exact():
    rows = packed(TRAIN_COUNTS, [1000] * 10)
    parts = split(rows, **OFFICIAL)
    assert sizes(parts) == [48_000, 6_000, 10_000, 6_000]
    assert parts["test"].tolist() == [*range(60_000, 70_000)]
    assert drawn(parts) == [*rows.index]
    for name in ("validation", "holdout"):
        assert np.abs(counts(rows, parts[name]) - np.array(TRAIN_COUNTS) / 10).max() < 1
    line = fault(rows[:60_000], **OFFICIAL)
    assert line.startswith("data: no official test part for split.method: official; ")


def test_stratified_rounds_up_per_class_as_caret_does():
    rows = packed(KAGGLE_COUNTS, [50, 30])  # an official test part, which it leaves out
    parts = split(rows)
    learning = np.concatenate([parts["train"], parts["validation"]])
    assert counts(rows, learning) == [-(-4 * count // 5) for count in KAGGLE_COUNTS]
    assert (len(parts["test"]), len(parts["holdout"])) == (8_396 - 1_676, 1_676)
    assert drawn(parts) == [*range(42_000)]
    [line] = part_warnings(parts, rows, split_params(), 1)
    assert line.startswith("the data's own test part, 80 images, is not used; split.method: offic")


def test_seed_decides_the_split():
    rows = packed([500, 300], [50, 30])
    for settings in ({"percent": 50} | OFFICIAL, {}):
        first, again, another = (split(rows, seed, **settings) for seed in (7, 7, 8))
        for name, part in first.items():
            assert np.array_equal(part, again[name])
            assert not np.array_equal(part, another[name])
            assert (np.diff(part) > 0).all() == (name != "train")


def test_percent_of_each_class_is_rounded_up():
    rows = packed([100, 301, 70], [100, 200, 10])
    less, more = (
        sample(rows["label"].to_numpy(), np.arange(471), percent, seed=1) for percent in (7, 40)
    )
    assert counts(rows, less) == [7, 22, 5]
    assert {*less} < {*more}
    assert counts(rows, split(rows, percent=50, **OFFICIAL)["test"]) == [50, 100, 5]


def test_class_too_small_for_every_part_is_named():
    rows = packed([200, 3, 200, 2], [50] * 4)
    assert " gets no row of class b, d; " in fault(rows, **OFFICIAL)


def test_copies_are_counted_or_dropped():
    rows = packed([250, 150])
    rows = pd.concat([rows, rows[:100], rows[:100]], ignore_index=True)
    parts = split(rows)
    train, test = (rows["hash"].iloc[parts[name]] for name in ("train", "test"))
    assert summarise_splits(parts, rows)["copies"]["test"] == test.isin(train).sum() > 0
    doubled = parts | {"holdout": parts["test"]}
    assert "a row to two parts" in finding(DataError, summarise_splits, doubled, rows)
    assert drawn(split(rows, copies="drop")) == [*range(400)]


@pytest.fixture
def rows():
    """Different images of 40 writers in three classes; the last 200 are only for training."""
    return rows_with(
        np.random.default_rng(0).integers(3, size=600),
        meta_only_train=[""] * 400 + ["yes"] * 200,
        meta_writer=[f"w{number % 40}" for number in range(600)],
    )


def parts_of(rows, **changes):
    return {name: {*numbers.tolist()} for name, numbers in split(rows, **changes).items()}


@pytest.mark.parametrize(
    ("column", "group"), [("hash", None), ("source_hash", None), ("meta_writer", "writer")]
)
def test_chosen_row_like_a_held_out_one_is_left_out(rows, column, group):
    changes = {"method": "hashed", "group": group}
    rows.loc[400:598, "meta_only_train"] = ""
    for name in SPLITS:
        row = min(parts_of(rows, **changes)[name])
        rows.loc[599, [column, "label"]] = rows.loc[row, [column, "label"]]
        homes = [part for part, members in parts_of(rows, **changes).items() if 599 in members]
        assert homes == ["train"] * (name == "train")


def test_other_value_is_refused(rows):
    rows.loc[0, "meta_only_train"] = "perhaps"
    assert fault(rows) == "data/labels.csv: column only_train: perhaps; yes or nothing is allowed"
