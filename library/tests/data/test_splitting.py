"""How rows are drawn and split: exact counts, seeded, disjoint, and honest about copies."""

import json

import numpy as np
import pandas as pd
import pytest
from helpers import finding
from pydantic import ValidationError
from splits import rows_with, split, split_params

from imageproof.base.dataset import SPLITS
from imageproof.base.errors import DataError
from imageproof.data.drawing import sample
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


def test_official_sizes_are_exact():
    rows = packed(TRAIN_COUNTS, [1000] * 10)
    parts = split(rows, **OFFICIAL)
    assert sizes(parts) == [48_000, 6_000, 10_000, 6_000]
    assert parts["test"].tolist() == [*range(60_000, 70_000)]
    assert drawn(parts) == [*rows.index]
    assert part_warnings(parts, rows, split_params(**OFFICIAL), 1) == []
    for name in ("validation", "holdout"):
        assert np.abs(counts(rows, parts[name]) - np.array(TRAIN_COUNTS) / 10).max() < 1


def test_stratified_rounds_up_per_class_as_caret_does():
    rows = packed(KAGGLE_COUNTS, [50, 30])  # an official test part, which it leaves out
    parts = split(rows)
    learning = np.concatenate([parts["train"], parts["validation"]])
    assert counts(rows, learning) == [-(-4 * count // 5) for count in KAGGLE_COUNTS]
    assert (len(parts["test"]), len(parts["holdout"])) == (8_396 - 1_676, 1_676)
    assert drawn(parts) == [*range(42_000)]


def test_seed_decides_the_split():
    rows = packed([500, 300], [50, 30])
    first, again, another = (split(rows, seed, percent=50, **OFFICIAL) for seed in (7, 7, 8))
    for name in SPLITS:
        np.testing.assert_array_equal(first[name], again[name])
        assert not np.array_equal(first[name], another[name])
        assert (np.diff(first[name]) > 0).all() == (name != "train")


def test_percent_of_each_class_is_rounded_up():
    rows = packed([100, 301, 70], [100, 200, 10])
    labels = rows["label"].to_numpy()
    train = np.arange(471)
    seventh = sample(labels, train, 7, seed=1)
    assert counts(rows, seventh) == [7, 22, 5]
    assert {*seventh} < {*sample(labels, train, 40, seed=1)}
    parts = split(rows, percent=50, **OFFICIAL)
    assert sum(sizes(parts)) == 50 + 151 + 35 + 155
    assert counts(rows, parts["test"]) == [50, 100, 5]


@pytest.mark.parametrize("method", ["official", "stratified"])
def test_class_too_small_for_every_part_is_named(method):
    rows = packed([200, 3, 200, 2], [50] * 4)
    line = finding(DataError, lambda: split(rows, method=method))
    assert " gets no row of class 1, 3; " in line
    assert line.endswith(f"add rows of it, or raise the shares of split.{method}")
    line = finding(DataError, lambda: split(rows, percent=50, method=method))
    assert line.endswith("or raise data.percent")
    line = finding(DataError, lambda: split(rows[:405], **OFFICIAL))
    assert line.startswith("data: no official test part for split.method: official; ")


def test_copies_are_counted_dropped_or_kept_together():
    rows = packed([250, 150])
    rows = pd.concat([rows, rows[:100], rows[:100]], ignore_index=True)
    images = rows["hash"].to_numpy()
    parts = split(rows)
    for name, count in summarise_splits(parts, rows)["copies"].items():
        assert count == np.isin(images[parts[name]], images[parts["train"]]).sum() > 0
    assert drawn(split(rows, copies="drop")) == [*range(400)]
    parts = split(rows, copies="together")
    assert drawn(parts) == [*range(600)]
    assert sum(len({*images[part]}) for part in parts.values()) == 400
    assert (np.diff(parts["train"]) < 0).any()  # in random order
    rows.loc[590:, "part"] = "test"  # all test rows are copies
    line = finding(DataError, lambda: split(rows, copies="drop", **OFFICIAL))
    assert "test gets no row of class" in line


def test_summary_as_json():
    rows = packed([500, 300])
    summary = json.loads(json.dumps(summarise_splits(split(rows), rows)))
    assert summary["rows"] == {"train": 512, "validation": 128, "test": 128, "holdout": 32}
    assert summary["class_counts"]["train"] == {"0": 320, "1": 192}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"hashed": {"holdout": 0.1, "test": 0.2, "validation": 0.7}}, r"test \+ validation is 1;"),
        (OFFICIAL | {"holdout_within_test": True}, "needs method: hashed or stratified"),
        (OFFICIAL | {"copies": "together"}, "needs method: hashed or stratified"),
    ],
)
def test_values_that_contradict_each_other_are_refused(changes, message):
    with pytest.raises(ValidationError, match=message):
        split_params(**changes)
