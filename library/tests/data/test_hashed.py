"""A row's part by its hash: nothing moves when data grows, and what cannot be helped is named."""

from typing import Any

import numpy as np
import pandas as pd
import pytest
from example import changed
from helpers import finding

from imageproof.base.dataset import SPLITS
from imageproof.base.errors import DataError
from imageproof.data.hashing import moved_groups
from imageproof.data.split_params import SplitParams
from imageproof.data.splitting import split, split_warnings

SHARES = {"holdout": 0.15, "test": 0.15, "validation": 0.15, "train": 0.55}


def params(**changes: Any) -> SplitParams:
    keys = {f"split.{key}": value for key, value in changes.items()}
    return SplitParams(**changed({"split.method": "hashed"} | keys)["split"])


def packed(count: int, *, groups: int = 0, seed: int = 0) -> pd.DataFrame:
    """Rows of different images in three classes, and as many groups, if any."""
    rng = np.random.default_rng(seed)
    rows = pd.DataFrame({"part": "train", "label": rng.integers(3, size=count)})
    rows["source_hash"] = [rng.bytes(16).hex() for _ in range(count)]
    rows["name"] = rows["hash"] = rows["source_hash"]
    if groups:
        rows["meta_writer"] = [f"w{number}" for number in rng.integers(groups, size=count)]
    return rows


def homes(
    rows: pd.DataFrame, percent: float = 100, seed: int = 1, **changes: Any
) -> dict[str, str]:
    """The part of each image."""
    parts = split(rows, percent=percent, params=params(**changes), seed=seed)
    hashes = rows["source_hash"].to_numpy()
    return {name: part for part, numbers in parts.items() for name in hashes[numbers]}


@pytest.mark.slow
@pytest.mark.parametrize("group", [None, "writer"])
def test_no_row_moves_in_300_growths_by_a_tenth(group: str | None) -> None:
    moved = 0
    for seed in range(300):
        rows = packed(440, groups=60, seed=seed).sample(frac=1, random_state=seed)
        first = homes(rows[:400], seed=seed, group=group)
        grown = homes(rows.reset_index(drop=True), seed=seed, group=group)
        moved += sum(grown[name] != part for name, part in first.items())
        assert len(grown) == 440
    assert moved == 0


def test_shares_are_met_by_many_rows() -> None:
    counts = pd.Series(homes(packed(20_000))).value_counts(normalize=True)
    assert counts.to_dict() == pytest.approx(SHARES, abs=0.01)


def test_seed_decides_the_parts() -> None:
    rows = packed(400)
    assert homes(rows) == homes(rows)
    assert homes(rows) != homes(rows, seed=2)


def test_less_percent_is_a_subset_that_stays() -> None:
    rows = packed(4000)
    everything = homes(rows).items()
    half = homes(rows, percent=50).items()
    assert homes(rows, percent=25).items() < half < everything
    assert len(half) == pytest.approx(2000, abs=150)


def test_equal_images_are_in_one_part() -> None:
    rows = packed(400)
    twice = pd.concat([rows, rows], ignore_index=True)
    for copies, count in (("keep", 800), ("drop", 400), ("together", 800)):
        parts = split(twice, percent=100, params=params(copies=copies), seed=1)
        images = [{*twice["source_hash"].iloc[part]} for part in parts.values()]
        assert sum(map(len, images)) == 400
        assert sum(map(len, parts.values())) == count


def test_holdout_within_test() -> None:
    parts = split(packed(400), percent=100, params=params(holdout_within_test=True), seed=1)
    assert {*parts["holdout"]} < {*parts["test"]}


def test_copy_that_joins_two_groups_moves_the_smaller_one() -> None:
    rows = packed(400, groups=40)
    writers = rows.set_index("source_hash")["meta_writer"]
    home = {writers[image]: part for image, part in homes(rows, group="writer").items()}
    sizes = rows["meta_writer"].value_counts()
    larger = sizes.index[0]
    smaller = next(name for name in reversed(sizes.index) if home[name] != home[larger])
    copy = rows[rows["meta_writer"] == larger][:1].assign(meta_writer=smaller)
    grown = pd.concat([rows, copy], ignore_index=True)
    homes_grown = homes(grown, group="writer")
    moves = {writers[image]: part for image, part in homes_grown.items()}
    assert moves == home | {smaller: home[larger]}
    [line] = moved_groups(grown, params(group="writer"), 1)
    move = f"{smaller} from {home[smaller]} to {home[larger]}, where {larger} is"
    assert line == f"1 groups move, as a larger one has one of their images: {move}"
    assert moved_groups(rows, params(group="writer"), 1) == []


def test_large_group_is_an_error() -> None:
    rows = packed(400, groups=40)
    rows.loc[:80, "meta_writer"] = "Ann"
    line = finding(DataError, lambda: homes(rows, group="writer"))
    assert line.startswith("data/labels.csv: split.group: Ann has 8")
    assert "of 400 rows, with groups that have one of its images; at most 20% are allowed" in line


@pytest.mark.parametrize("part", SPLITS)
def test_class_that_only_one_part_has(part: str) -> None:
    rows = packed(400)
    is_in_part = rows["source_hash"].map(homes(rows)) == part
    rows["label"] = np.where(is_in_part & (rows.index % 3 == 0), 2, rows["label"] % 2)
    if part != "train":
        line = finding(DataError, lambda: homes(rows))
        end = "add rows of it, or raise the shares of split.hashed"
        assert line == f"data: train gets no row of class 2; {end}"
        return
    parts = split(rows, percent=100, params=params(), seed=1)
    end = "has no row of class 2, and cannot judge it; add rows"
    lines = split_warnings(parts, rows, params(), 1)
    assert lines == [f"{name} {end}" for name in ("validation", "test", "holdout")]


def test_class_that_no_part_has_is_an_error() -> None:
    rows = packed(400)
    drawn = homes(rows, percent=50)
    rows["label"] = np.where(rows["source_hash"].isin(drawn), rows["label"] % 2, 2)
    line = finding(DataError, lambda: homes(rows, percent=50))
    assert line == "data: train gets no row of class 2; add rows of it, or raise data.percent"


def test_part_without_rows_is_an_error() -> None:
    line = finding(DataError, lambda: homes(packed(5).assign(label=0)))
    assert line.startswith("data: ")
    assert " gets no row of class 0; add rows of it, or raise the shares of split.hashed" in line
