"""Groups stay in one part, whatever sizes and seed; what cannot be grouped is one line."""

from functools import partial

import numpy as np
import pytest
import splits
from helpers import finding
from splits import rows_with

from imageproof.base.errors import DataError
from imageproof.data import grouping

split = partial(splits.split, group="writer")


def packed(writers):
    """Rows with these writers, all of different images, with labels of three drawn at random."""
    labels = np.random.default_rng(0).integers(3, size=len(writers))
    return rows_with(labels, meta_writer=writers)


def uneven(count, rows=1500):
    """Rows of so many writers, of whom some wrote much more than others."""
    rng = np.random.default_rng(0)
    shares = rng.dirichlet(np.full(count, 2.0))
    return packed(rng.choice([f"w{n}" for n in range(count)], rows, p=shares))


def writers(rows, parts):
    return [{*rows["meta_writer"].iloc[part]} for part in parts.values()]


def fault(rows, **changes):
    return finding(DataError, split, rows, **changes)


def assert_apart(rows, parts):
    """No row is lost, and no writer is in two parts."""
    assert sorted(np.concatenate([*parts.values()])) == [*rows.index]
    names = writers(rows, parts)
    assert sum(map(len, names)) == len(set.union(*names))


def test_shares_and_classes_are_met_as_groups_allow():
    rows = uneven(100, rows=6000)
    parts = split(rows)
    assert_apart(rows, parts)
    counts = grouping.count(parts, rows, "writer")
    assert [*counts.values()] == [*map(len, writers(rows, parts))]
    sizes = {name: len(part) / len(rows) for name, part in parts.items()}
    shares = {"train": 0.64, "validation": 0.16, "test": 0.16, "holdout": 0.04}
    assert sizes == pytest.approx(shares, abs=0.015)
    for part in parts.values():
        frequencies = np.bincount(rows["label"].iloc[part]) / len(part)
        assert frequencies == pytest.approx([1 / 3] * 3, abs=0.05)


def test_each_part_gets_class_that_few_writers_have():
    rows = packed([f"w{n % 40}" for n in range(800)])
    rows["label"] %= 2
    rare = rows["meta_writer"].map({"w0": 20, "w1": 8, "w2": 4, "w3": 2, "w4": 2}).fillna(0)
    rows.loc[rows.index < 40 * rare, "label"] = 2
    params = {"stratified": {"test": 0.5, "holdout": 0.5, "validation": 0.2}}
    for seed in range(5):
        parts = split(rows, seed=seed, **params)
        assert all(rows["label"].iloc[part].nunique() == 3 for part in parts.values())


def test_official_test_part_stays_as_it_is():
    rows = packed([*uneven(20)["meta_writer"], *["x"] * 20])
    rows.loc[1500:, "part"] = "test"
    parts = split(rows, method="official")
    assert parts["test"].tolist() == [*range(1500, 1520)]
    assert_apart(rows, parts)
    rows.loc[1500, "meta_writer"] = "w1"
    assert fault(rows, method="official").startswith("data/labels.csv: split.group: w1 in ")


def test_column_that_names_no_groups_is_refused():
    rows = packed(["a", "b", "", "c", ""]).assign(name=[*"12345"])
    assert "column writer: pictures without a value: 2 (3, 5); " in fault(rows)
    assert fault(rows, group="date").endswith("; split.group is 'date', and may be null")


def test_each_part_needs_a_group():
    for count in (1, 2, 3):
        line = fault(packed([f"w{n % count}" for n in range(300)]))
        assert " gets no row of class a, b, c; add rows of it, " in line
    rows = uneven(4)
    assert_apart(rows, split(rows))


def test_number_of_a_group_depends_on_no_other_group():
    numbers = grouping.numbers(packed(["Eve", "Bob", "Eve", "Ann"]), "writer")
    assert len({*numbers}) == 3
    assert numbers[0] == numbers[2]
    assert grouping.numbers(packed(["Eve", "Bob"]), "writer").tolist() == numbers[:2].tolist()
