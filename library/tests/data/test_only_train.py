"""The column only_train of labels.csv: rows that nothing is judged by."""

import numpy as np
import pandas as pd
import pytest
from helpers import finding
from splits import rows_with, split, split_params

from imageproof.base.errors import DataError
from imageproof.data.splitting import part_warnings

HELD_OUT = ("validation", "test", "holdout")
either = pytest.mark.parametrize("method", ["hashed", "stratified"])


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


@either
def test_chosen_rows_are_training_rows_and_move_no_other(rows, method):
    parts = parts_of(rows, method=method)
    without = parts_of(rows[:400], method=method)
    assert parts == without | {"train": without["train"] | {*range(400, 600)}}


@either
@pytest.mark.parametrize(
    ("column", "group"), [("hash", None), ("source_hash", None), ("meta_writer", "writer")]
)
def test_chosen_row_like_a_held_out_one_is_left_out(rows, method, column, group):
    changes = {"method": method, "group": group}
    rows.loc[400:598, "meta_only_train"] = ""
    for name in (*HELD_OUT, "train"):
        row = min(parts_of(rows, **changes)[name])
        rows.loc[599, [column, "label"]] = rows.loc[row, [column, "label"]]
        homes = [part for part, members in parts_of(rows, **changes).items() if 599 in members]
        assert homes == ["train"] * (name == "train")


def test_chosen_copies_count_once_where_copies_are_dropped(rows):
    columns = ["hash", "source_hash", "label"]
    rows.loc[599, columns] = rows.loc[598, columns]
    for copies, count in (("drop", 1), ("keep", 2)):
        assert len({598, 599} & parts_of(rows, copies=copies)["train"]) == count


def test_chosen_copy_moves_no_group_and_none_is_named(rows):
    changes = {"method": "hashed", "group": "writer"}
    rows = rows[:400]
    parts = split(rows, **changes)
    copies = rows.loc[parts["train"][:1].repeat(50)]
    held_out = rows["meta_writer"][parts["test"][0]]
    copies = copies.assign(meta_only_train="yes", meta_writer=held_out)
    grown = pd.concat([rows, copies], ignore_index=True)
    params = split_params(**changes)
    assert part_warnings(split(grown, **changes), grown, params, 1) == []


def test_other_value_is_refused(rows):
    rows.loc[0, "meta_only_train"] = "perhaps"
    fault = "data/labels.csv: column only_train: perhaps; yes or nothing is allowed"
    assert finding(DataError, lambda: split(rows)) == fault
