"""The column only_train of labels.csv: rows that nothing is judged by."""

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from helpers import finding
from PIL import Image
from support import changed, write_params

from digits.params import check
from digits.stages import pack
from digits.stages import split as stage
from imageproof.artifacts import WORKSPACE
from imageproof.base.errors import DataError
from imageproof.data import packed
from imageproof.data.splitting import split, split_warnings

METHODS = ("hashed", "stratified")
HELD_OUT = ("validation", "test", "holdout")


def rows_with(count: int, bound: int) -> pd.DataFrame:
    """Different images in three classes, of which the last `bound` are only for training."""
    rng = np.random.default_rng(0)
    hashes = [rng.bytes(16).hex() for _ in range(count)]
    return pd.DataFrame(
        {
            "part": "train",
            "label": rng.integers(3, size=count),
            "hash": hashes,
            "source_hash": hashes,
            "name": hashes,
            "meta_only_train": [""] * (count - bound) + ["yes"] * bound,
            "meta_writer": [f"w{number % 40}" for number in range(count)],
        }
    )


def parts_of(rows: pd.DataFrame, **changes: Any) -> dict[str, set[int]]:
    keys = {f"split.{key}": value for key, value in changes.items()}
    params = check(changed({"split.method": "hashed"} | keys)).split
    parts = split(rows, percent=100, params=params, seed=1)
    return {name: {*numbers.tolist()} for name, numbers in parts.items()}


@pytest.mark.parametrize("method", METHODS)
def test_chosen_rows_are_training_rows_and_move_no_other(method: str) -> None:
    rows = rows_with(600, bound=200)
    parts = parts_of(rows, method=method)
    assert {*range(400, 600)} < parts["train"]
    without = parts_of(rows[:400], method=method)
    assert [parts[name] for name in HELD_OUT] == [without[name] for name in HELD_OUT]
    assert parts["train"] - {*range(400, 600)} == without["train"]


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("column", ["hash", "source_hash", "meta_writer"])
def test_chosen_row_like_a_held_out_one_is_left_out(method: str, column: str) -> None:
    rows = rows_with(600, bound=1)
    changes: dict[str, Any] = {"method": method}
    if column == "meta_writer":
        changes["group"] = "writer"
    for name in HELD_OUT:
        row = min(parts_of(rows, **changes)[name])
        rows.loc[599, [column, "label"]] = rows.loc[row, [column, "label"]]
        assert 599 not in set().union(*parts_of(rows, **changes).values())
    row = min(parts_of(rows, **changes)["train"])
    rows.loc[599, [column, "label"]] = rows.loc[row, [column, "label"]]
    assert 599 in parts_of(rows, **changes)["train"]


def test_chosen_copies_count_once_where_copies_are_dropped() -> None:
    rows = rows_with(600, bound=2)
    rows.loc[599, ["hash", "source_hash", "label"]] = rows.loc[
        598, ["hash", "source_hash", "label"]
    ]
    assert {598, 599} & parts_of(rows, copies="drop")["train"] == {598}
    assert {598, 599} <= parts_of(rows, copies="keep")["train"]


def test_chosen_copy_moves_no_group_and_none_is_named() -> None:
    rows = rows_with(600, bound=1)
    groups = check(changed({"split.method": "hashed", "split.group": "writer"})).split
    parts = split(rows[:599], percent=100, params=groups, seed=1)
    held_out = rows["meta_writer"].iloc[parts["test"][0]]
    [copied] = parts["train"][:1]
    copies = pd.concat([rows.iloc[[copied]]] * 50).assign(meta_only_train="yes")
    grown = pd.concat([rows[:599], copies.assign(meta_writer=held_out)], ignore_index=True)
    parts = split(grown, percent=100, params=groups, seed=1)
    assert split_warnings(parts, grown, groups, seed=1) == []


def test_other_value_is_refused() -> None:
    rows = rows_with(600, bound=2)
    rows.loc[0, "meta_only_train"] = "perhaps"
    fault = "data/labels.csv: column only_train: perhaps; yes or nothing is allowed"
    assert finding(DataError, partial(parts_of, rows)) == fault


@pytest.mark.usefixtures("workspace")
def test_stage_obeys_the_column_of_the_table() -> None:
    Path("data").mkdir()
    rng = np.random.default_rng(0)
    lines = ["file,label,only_train"]
    for number in range(90):
        Image.fromarray(rng.integers(256, size=(8, 8), dtype=np.uint8)).save(f"data/{number}.png")
        lines.append(f"{number}.png,{'ab'[number % 2]},{'yes' if number >= 60 else ''}")
    Path("data/labels.csv").write_text("\n".join(lines) + "\n", "utf-8")
    write_params({"data.classes": 2, "data.image.fit": "stretch", "split.method": "stratified"})
    pack.main()
    stage.main()
    [only_train] = packed.load_metadata(WORKSPACE.pack, np.arange(90)).to_numpy().T
    assert (only_train == "yes").sum() == 30
    assert {*range(60, 90)} <= {*WORKSPACE.read_split("train").rows.tolist()}
