"""Groups stay in one part, whatever sizes and seed; what cannot be grouped is one line."""

from collections.abc import Iterable
from typing import Any

import numpy as np
import pandas as pd
import pytest
from helpers import finding

from imageproof.base.dataset import Rows
from imageproof.base.errors import DataError
from imageproof.data import grouping, splitting
from imageproof.data.splitting import SplitParams

STRATIFIED = {
    "method": "stratified",
    "stratified": {"test": 0.2, "holdout": 0.2, "validation": 0.2},
    "official": {"validation": 0.1, "holdout": 0.1},
    "hashed": {"holdout": 0.15, "test": 0.15, "validation": 0.15},
    "holdout_within_test": False,
    "copies": "keep",
    "group": "writer",
}


def params(**changes: Any) -> SplitParams:
    return SplitParams(**STRATIFIED | changes)


def packed(writers: Iterable[str], *, seed: int = 0) -> pd.DataFrame:
    """Rows with these writers, all of different images, with labels of three drawn at random."""
    rows = pd.DataFrame({"meta_writer": [*writers]}).assign(part="train")
    rows["label"] = np.random.default_rng(seed).integers(3, size=len(rows))
    rows["hash"] = rows["name"] = [f"scans/{n}.png" for n in rows.index]
    return rows


def uneven(count: int, *, seed: int = 0, rows: int = 1500) -> pd.DataFrame:
    """Rows of so many writers, of whom some wrote much more than others."""
    rng = np.random.default_rng(seed)
    shares = rng.dirichlet(np.full(count, 2.0))
    return packed(rng.choice([f"w{n}" for n in range(count)], rows, p=shares), seed=seed)


def split(
    rows: pd.DataFrame, seed: int = 1, percent: float = 100, **changes: Any
) -> dict[str, Rows]:
    return splitting.split(rows, percent=percent, params=params(**changes), seed=seed)


def writers(rows: pd.DataFrame, parts: dict[str, Rows]) -> list[set[str]]:
    return [{*rows["meta_writer"].iloc[part]} for part in parts.values()]


def assert_apart(rows: pd.DataFrame, parts: dict[str, Rows]) -> None:
    names = writers(rows, parts)
    assert sum(map(len, names)) == len(set.union(*names))


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("count", [4, 8, 60])
def test_no_group_is_in_two_parts_and_none_is_lost(count: int, seed: int) -> None:
    rows = uneven(count, seed=seed)
    for copies in ("keep", "drop", "together"):
        parts = split(rows, seed, copies=copies)
        assert sorted(np.concatenate([*parts.values()])) == [*rows.index]
        assert_apart(rows, parts)
        counts = grouping.count(parts, rows, "writer")
        assert [*counts.values()] == [*map(len, writers(rows, parts))]
    assert_apart(rows, split(rows, seed, percent=80))
    within = split(rows, seed, holdout_within_test=True)
    assert {*within.pop("holdout")} < {*within["test"]}
    assert_apart(rows, within)


def test_shares_and_classes_are_met_as_groups_allow() -> None:
    rows = uneven(100, rows=6000)
    parts = split(rows)
    sizes = {name: len(part) / len(rows) for name, part in parts.items()}
    shares = {"train": 0.64, "validation": 0.16, "test": 0.16, "holdout": 0.04}
    assert sizes == pytest.approx(shares, abs=0.015)
    for part in parts.values():
        frequencies = np.bincount(rows["label"].iloc[part]) / len(part)
        assert frequencies == pytest.approx([1 / 3] * 3, abs=0.05)


def test_seed_decides_the_groups_of_each_part() -> None:
    rows = uneven(60)
    first, again, another = (split(rows, seed) for seed in (7, 7, 8))
    assert writers(rows, first) == writers(rows, again) != writers(rows, another)


def test_groups_with_an_image_in_common_stay_together() -> None:
    rows = uneven(60)
    pages = [np.flatnonzero(rows["meta_writer"] == f"w{number}") for number in (3, 4, 5)]
    rows.loc[[page[0] for page in pages], "hash"] = "the same"

    def homes(**changes: Any) -> set[str]:
        parts = split(rows, **changes)
        assert_apart(rows, parts)
        return {name for name, part in parts.items() if np.isin(np.concatenate(pages), part).any()}

    assert len(homes(copies="together")) == 1 < len(homes())
    rows["hash"] = "the same"
    line = finding(DataError, lambda: split(rows, copies="together"))
    assert line.startswith("data/labels.csv: split.group makes 1 groups that may be in different ")


def with_official_test(*of_test: str) -> pd.DataFrame:
    """Rows of 20 writers, then an official test part of others."""
    rows = packed([*uneven(20)["meta_writer"], *of_test])
    rows.loc[1500:, "part"] = "test"
    return rows


def test_official_test_part_stays_as_it_is() -> None:
    rows = with_official_test(*["x", "y"] * 20)
    parts = split(rows, method="official")
    assert parts["test"].tolist() == [*range(1500, 1540)]
    assert_apart(rows, parts)
    shared = with_official_test("w1", "w2", *["x"] * 20)
    line = finding(DataError, lambda: split(shared, method="official"))
    assert " of 21 groups) in train and test; no group may be in two parts: " in line


def test_group_in_two_parts_is_refused() -> None:
    rows = uneven(30)
    parts = split(rows)
    parts["train"] = np.append(parts["train"], parts["holdout"][:1])
    line = finding(DataError, lambda: grouping.check(parts, rows, params()))
    assert "in train and holdout; no group may be in two parts: " in line


def test_column_that_names_no_groups_is_refused() -> None:
    rows = packed(["a", "b", "", "c", ""])
    line = finding(DataError, lambda: split(rows))
    gap = "column writer: empty for 2 pictures (scans/2.png, scans/4.png)"
    assert line == f"data/labels.csv: {gap}; fill it, or set split.group: null"
    line = finding(DataError, lambda: split(rows, group="date"))
    end = "split.group is 'date', and may be null"
    assert line == f"data/labels.csv: has file, label, writer; {end}"
    bare = rows.drop(columns="meta_writer")
    assert f"has file, label; {end}" in finding(DataError, lambda: split(bare, group="date"))


@pytest.mark.parametrize(
    ("count", "minimum", "changes"),
    [(3, 4, {}), (3, 4, {"holdout_within_test": True}), (2, 3, {"method": "official"})],
)
def test_too_few_groups_are_a_line(count: int, minimum: int, changes: dict[str, Any]) -> None:
    rows = packed([f"w{n % count}" for n in range(300)] + ["x"] * 30)
    rows.loc[300:, "part"] = "test"
    start = f"split.group makes {count} groups that may be in different parts"
    line = finding(DataError, lambda: split(rows, **changes))
    assert line == f"data/labels.csv: {start}; {minimum} are needed: add some, or set it to null"
