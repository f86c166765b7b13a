"""How rows are drawn and split: exact counts, seeded, disjoint, and honest about copies."""

import json
from typing import Any

import numpy as np
import pandas as pd
import pytest
from helpers import finding
from pydantic import ValidationError

from imageproof.base.dataset import SPLITS, Rows
from imageproof.base.errors import DataError
from imageproof.data import splitting
from imageproof.data.drawing import sample
from imageproof.data.split_params import SplitParams
from imageproof.data.splitting import summarise_splits

KAGGLE_COUNTS = [4132, 4684, 4177, 4351, 4072, 3795, 4137, 4401, 4063, 4188]
TRAIN_COUNTS = [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]
STRATIFIED = {"method": "stratified"}


def params(**changes: Any) -> SplitParams:
    values = {
        "method": "official",
        "official": {"validation": 0.1, "holdout": 0.1},
        "hashed": {"holdout": 0.15, "test": 0.15, "validation": 0.15},
        "stratified": {"test": 0.2, "holdout": 0.2, "validation": 0.2},
        "holdout_within_test": False,
        "copies": "keep",
        "group": None,
    }
    return SplitParams(**{**values, **changes})


def packed(train: list[int], test: list[int] | None = None) -> pd.DataFrame:
    """As many rows per class in each part, all of different images."""
    random = np.random.default_rng(0)
    tables = [
        pd.DataFrame(
            {"part": part, "label": random.permutation(np.repeat(range(len(sizes)), sizes))}
        )
        for part, sizes in (("train", train), ("test", test or []))
    ]
    rows = pd.concat(tables, ignore_index=True).astype({"label": int})
    return rows.assign(hash=rows.index)


def with_copies() -> pd.DataFrame:
    """400 images, of which the first 100 are there three times."""
    rows = packed([250, 150])
    return pd.concat([rows, rows[:100], rows[:100]], ignore_index=True)


def split(
    rows: pd.DataFrame, seed: int = 1, percent: float = 100, **changes: Any
) -> dict[str, Rows]:
    return splitting.split(rows, percent=percent, params=params(**changes), seed=seed)


def sizes(parts: dict[str, Rows]) -> list[int]:
    return [len(parts[name]) for name in SPLITS]


def counts(rows: pd.DataFrame, part: Rows) -> list[int]:
    return np.bincount(rows["label"].to_numpy()[part]).tolist()


def test_official_sizes_are_exact() -> None:
    rows = packed(TRAIN_COUNTS, [1000] * 10)
    parts = split(rows)
    assert sizes(parts) == [48_000, 6_000, 10_000, 6_000]
    for name in ("validation", "holdout"):
        assert np.abs(counts(rows, parts[name]) - np.array(TRAIN_COUNTS) / 10).max() < 1


def test_official_test_part_is_the_test_split() -> None:
    parts = split(packed([500, 300], [50, 30]))
    assert parts["test"].tolist() == [*range(800, 880)]
    assert sorted(np.concatenate([*parts.values()])) == [*range(880)]


def test_official_without_test_part_is_refused() -> None:
    assert "no official test part" in finding(DataError, lambda: split(packed([50, 50])))


@pytest.mark.parametrize(("within", "test_rows"), [(False, 8_396 - 1_676), (True, 8_396)])
def test_stratified_rounds_up_per_class_as_caret_does(within: bool, test_rows: int) -> None:
    rows = packed(KAGGLE_COUNTS)
    parts = split(rows, holdout_within_test=within, **STRATIFIED)
    learning = np.concatenate([parts["train"], parts["validation"]])
    assert counts(rows, learning) == [-(-4 * count // 5) for count in KAGGLE_COUNTS]
    assert (len(parts["test"]), len(parts["holdout"])) == (test_rows, 1_676)
    assert len(np.unique(np.concatenate([*parts.values()]))) == len(rows)


def test_stratified_leaves_official_test_part_out() -> None:
    parts = split(packed([500, 300], [50, 30]), **STRATIFIED)
    assert sorted(np.concatenate([*parts.values()])) == [*range(800)]


def test_seed_decides_the_split() -> None:
    rows = packed([500, 300], [50, 30])
    first, again, another = (split(rows, seed, percent=50) for seed in (7, 7, 8))
    for name in SPLITS:
        np.testing.assert_array_equal(first[name], again[name])
        assert not np.array_equal(first[name], another[name])
    ascending = [bool((np.diff(first[name]) > 0).all()) for name in SPLITS]
    assert ascending == [False, True, True, True]


@pytest.mark.parametrize(
    ("percent", "drawn"),
    [(100, [100, 301, 7]), (50, [50, 151, 4]), (7, [7, 22, 1])],
)
def test_percent_of_each_class_is_rounded_up(percent: float, drawn: list[int]) -> None:
    rows = packed([100, 301, 7])
    labels = rows["label"].to_numpy()
    numbers = rows.index.to_numpy()
    assert counts(rows, sample(labels, numbers, percent, seed=1)) == drawn
    assert {*sample(labels, numbers, 10, seed=1)} < {*sample(labels, numbers, 40, seed=1)}


def test_percent_reduces_both_official_parts() -> None:
    rows = packed([500, 300], [100, 200])
    parts = split(rows, percent=10)
    assert counts(rows, parts["test"]) == [10, 20]
    assert sum(sizes(parts)) == 80 + 30


@pytest.mark.parametrize("method", ["official", "stratified"])
def test_class_too_small_for_every_part_is_named(method: str) -> None:
    rows = packed([200, 3, 200, 2], [50] * 4)
    line = finding(DataError, lambda: split(rows, method=method))
    assert " gets no row of class 1, 3; " in line
    assert line.endswith(f"add rows of it, or raise the shares of split.{method}")
    line = finding(DataError, lambda: split(rows, percent=50, method=method))
    assert line.endswith("or raise data.percent")


def test_copies_of_training_rows_are_counted() -> None:
    rows = with_copies()
    parts = split(rows, **STRATIFIED)
    images = {name: rows["hash"].to_numpy()[part] for name, part in parts.items()}
    copies = summarise_splits(parts, rows)["copies"]
    for name in SPLITS[1:]:
        assert copies[name] == np.isin(images[name], images["train"]).sum() > 0


def test_copies_dropped_leaves_each_image_once() -> None:
    rows = with_copies()
    parts = split(rows, copies="drop", **STRATIFIED)
    assert sorted(np.concatenate([*parts.values()])) == [*range(400)]
    assert len(parts["test"]) == 64
    rows.loc[590:, "part"] = "test"  # all test rows are copies
    line = finding(DataError, lambda: split(rows, copies="drop"))
    assert "test gets no row of class" in line


def test_copies_together_are_in_one_part() -> None:
    rows = with_copies()
    parts = split(rows, copies="together", **STRATIFIED)
    assert sorted(np.concatenate([*parts.values()])) == [*range(600)]
    images = [{*rows["hash"].iloc[part]} for part in parts.values()]
    assert sum(map(len, images)) == 400
    assert (np.diff(parts["train"]) < 0).any()  # in random order


def test_summary_as_json() -> None:
    rows = packed([500, 300])
    summary = summarise_splits(split(rows, **STRATIFIED), rows)
    assert json.loads(json.dumps(summary)) == summary
    assert summary["rows"] == {"train": 512, "validation": 128, "test": 128, "holdout": 32}
    assert summary["class_counts"]["train"] == {"0": 320, "1": 192}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"official": {"validation": 0.5, "holdout": 0.5}}, r"validation \+ holdout is 1;"),
        ({"stratified": {"test": 1.0, "holdout": 0.2, "validation": 0.2}}, "less than 1"),
        ({"holdout_within_test": True}, "needs method: hashed or stratified"),
        ({"copies": "together"}, "needs method: hashed or stratified"),
    ],
)
def test_values_out_of_range_are_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        params(**changes)
