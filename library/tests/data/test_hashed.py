"""A row's part by its hash: nothing moves when data grows, and what cannot be helped is named."""

from functools import partial

import numpy as np
import pandas as pd
import pytest
import splits
from helpers import finding
from splits import NAMES, rows_with, split_params

from imageproof.base.errors import DataError
from imageproof.data._hashing import moved_groups
from imageproof.data.splitting import part_warnings

SHARES = {"holdout": 0.15, "test": 0.15, "validation": 0.15, "train": 0.55}
GROUPED = {"method": "hashed", "group": "writer"}
split = partial(splits.split, method="hashed")


def packed(count, groups=60):
    """Rows of different images in three classes, and as many groups."""
    rng = np.random.default_rng(0)
    writers = [f"w{number}" for number in rng.integers(groups, size=count)]
    return rows_with(rng.integers(3, size=count), meta_writer=writers)


def homes(rows, seed=1, **changes):
    """The part of each image."""
    hashes = rows["source_hash"].to_numpy()
    parts = split(rows, seed, **changes)
    return {name: part for part, numbers in parts.items() for name in hashes[numbers]}


@pytest.mark.slow
@pytest.mark.parametrize("group", [None, "writer"])
def test_no_row_moves_in_300_growths_by_a_tenth(group):
    rows = packed(440)
    for seed in range(5):
        grown = homes(rows, seed, group=group)
        assert len(grown) == 440
        for growth in range(30):  # with groups and without: 300
            smaller = rows.sample(400, random_state=growth, ignore_index=True)
            assert homes(smaller, seed, group=group).items() < grown.items()


def test_shares_are_met_and_less_percent_is_a_subset_that_stays():
    rows = packed(20_000)
    everything = homes(rows)
    shares = pd.Series(everything).value_counts(normalize=True)
    assert shares.to_dict() == pytest.approx(SHARES, abs=0.01)
    half = homes(rows, percent=50).items()
    assert homes(rows, percent=25).items() < half < everything.items()
    assert len(half) == pytest.approx(10_000, abs=300)
    assert everything != homes(rows, seed=2)


def test_equal_images_are_in_one_part():
    rows = packed(400)
    twice = pd.concat([rows, rows], ignore_index=True)
    for copies, count in (("keep", 800), ("drop", 400)):
        parts = split(twice, copies=copies).values()
        assert sum(map(len, parts)) == count
        assert sum(len({*twice["source_hash"].iloc[part]}) for part in parts) == 400
    assert "all 400 images are equal" in finding(DataError, split, rows.assign(source_hash="same"))


def test_copy_that_joins_two_groups_moves_the_smaller_one():
    rows = packed(400, groups=40)
    params = split_params(**GROUPED)
    writers = rows.set_index("source_hash")["meta_writer"]
    copy = rows[writers.to_numpy() == "w37"][:1].assign(meta_writer="w6")  # of 16 images and of 3
    grown = pd.concat([rows, copy], ignore_index=True)
    home, moved_home = (
        {writers[image]: part for image, part in homes(images, **GROUPED).items()}
        for images in (rows, grown)
    )
    assert moved_home == home | {"w6": "train"}
    [line] = moved_groups(grown, params, 1)
    assert line.endswith(": w6 from validation to train, where w37 is")
    assert moved_groups(rows, params, 1) == []


def test_large_group_is_an_error():
    rows = packed(400, groups=40)
    rows.loc[:80, "meta_writer"] = "Ann"
    line = finding(DataError, homes, rows, **GROUPED)
    assert line.startswith("data/labels.csv: split.group: Ann has 81 of 400 rows, ")
    rows.loc[80, "meta_writer"] = "Bob"
    assert len(homes(rows, **GROUPED)) == 400


def with_class_only_in(part):
    rows = packed(400)
    is_in_part = rows["source_hash"].map(homes(rows)) == part
    return rows.assign(label=np.where(is_in_part & (rows.index % 3 == 0), 2, rows["label"] % 2))


def test_class_without_held_out_rows_is_a_warning():
    rows = with_class_only_in("train")
    lines = part_warnings(split(rows), rows, split_params(method="hashed"), 1, NAMES)
    end = "has no row of class c, and cannot judge it; add rows"
    assert lines == [f"{name} {end}" for name in ("validation", "test", "holdout")]


def test_class_without_training_rows_and_empty_part_are_errors():
    line = finding(DataError, split, with_class_only_in("test"))
    reason = "gets no row of class c; add rows of it, raise data.percent, or lower the shares of "
    assert line == f"data: train {reason}split.hashed"
    line = finding(DataError, split, rows_with([0] * 5))
    assert line.endswith(", or raise the shares of split.hashed")
