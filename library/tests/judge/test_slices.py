"""Slices: which rows they are, how a model does in them, and what the gate makes of it."""

from io import StringIO

import numpy as np
import pandas as pd
import pytest
from scipy.stats import binomtest

from imageproof.judge import slices
from imageproof.judge.comparison import mcnemar_exact
from imageproof.judge.gate import Contender, Evidence
from imageproof.judge.limits import PromoteParams
from imageproof.judge.slices import find_slices, measure, read_table, slice_loss, weakest
from imageproof.registry.decision import decide

WRITERS, ROWS = 8, 800
WRITER = np.arange(ROWS) % WRITERS
WRITTEN = pd.DataFrame({"writer": WRITER.astype(str)})


def test_a_slice_has_rows_enough_and_a_column_mostly_slices() -> None:
    metadata = pd.DataFrame(
        {
            "camera": ["a"] * 30 + ["b"] * 9 + [""] * 21,
            "date": [f"2024-{n:04}" for n in range(60)],
            "empty": [""] * 60,
        },
        index=np.arange(60)[::-1],
    )
    found, left_out = find_slices(metadata)
    assert {name: rows.tolist() for name, rows in found.items()} == {
        ("camera", "a"): [*range(30)],
    }
    assert left_out == [
        "column date: no slices, as 0 of its 60 values have 10 rows",
        "column empty: no slices, as 0 of its 0 values have 10 rows",
    ]
    assert find_slices(pd.DataFrame(index=range(5))) == ({}, [])


def test_slices_are_limited_in_number(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(slices, "MAX_SLICES", 3)
    metadata = pd.DataFrame({"one": ["a", "b"] * 20, "two": ["a", "b"] * 20, "three": ["c"] * 40})
    found, left_out = find_slices(metadata)
    assert [*found] == [("one", "a"), ("one", "b"), ("three", "c")]
    assert left_out == ["column two: no slices, as there would be over 3"]


def test_the_table_survives_its_file_and_begins_with_the_surest_to_be_weak() -> None:
    hostile = '=1+1,"<b>|\n\u202e'
    found = {("writer", "NA"): np.arange(10), (hostile, hostile): np.arange(10, 100)}
    hits = np.arange(100) >= 60  # 0 of 10, and 40 of 90
    table = measure(found, hits)
    interval = binomtest(40, 90).proportion_ci(method="exact")
    assert table.iloc[1].tolist()[:4] == [hostile, hostile, 90, 40 / 90]
    assert table.iloc[1].tolist()[4:] == pytest.approx(interval)
    both = pd.concat({"test": table, "holdout": table[:1]}, names=["split"]).droplevel(1)
    again = read_table(StringIO(both.to_csv()))
    assert again["value"].tolist() == ["NA", hostile, "NA"]
    [first, second], count = weakest(again, "test")
    assert count == 2
    assert first == ["writer: NA", "10", "0.0000", f"0.0000 to {table['upper'].iloc[0]:.4f}"]
    assert second[0] == ": ".join(['=1+1,"<b>|\\n\\u202e'] * 2)
    empty = pd.concat({"test": measure({}, hits)}, names=["split"]).droplevel(1).to_csv()
    assert empty == "split,column,value,rows,accuracy,lower,upper\n"
    assert weakest(read_table(StringIO(empty)), "test") == ([], 0)
    with pytest.raises(ValueError, match="Usecols"):
        read_table(StringIO("split,column\n"))


def answers(seed: int, *, weak_on: int | None = None) -> tuple[slices.Hits, slices.Hits]:
    """Rows that a champion and a model right as often get right; or one better but on a writer."""
    rng = np.random.default_rng(seed)
    before, equal, chance = rng.random((3, ROWS))
    if weak_on is None:
        return before < 0.93, equal < 0.93
    better, worse = (before < 0.93) | (equal < 0.9), (before < 0.93) & (chance < 0.8)
    return before < 0.93, np.where(weak_on == WRITER, worse, better)


@pytest.mark.parametrize("seed", range(20))
def test_a_model_weak_on_one_writer_passes_by_its_accuracy_and_not_by_its_slice(seed: int) -> None:
    hits = answers(seed, weak_on=seed % WRITERS)
    truth = np.arange(ROWS) % 10
    old, new = (
        Contender(
            name,
            np.eye(10, dtype=np.float32)[np.where(own, truth, (truth + 1) % 10)],
            unseen=np.ones(ROWS, bool),
        )
        for name, own in zip("on", hits, strict=True)
    )
    limits = {"paired_test": 0.05, "max_accuracy_loss": 0.002, "max_total_loss": 0.003}
    limits |= {"min_accuracy": 0.9, "max_slice_loss": 0.05}
    params = PromoteParams(**dict.fromkeys(PromoteParams.model_fields) | limits)
    names = [*"0123456789"]
    evidence = Evidence(challenger=new, champion=old, labels=truth, names=names, metadata=WRITTEN)
    decision = decide(evidence, params)
    assert decision.failed == ["max_slice_loss"]
    [check] = [check for check in decision.checks if not check.passed]
    assert check.found.startswith(f"writer: {seed % WRITERS}: 0.")
    assert check.figures["worst_slice_change"] < -0.05


def test_an_equally_good_model_is_seldom_refused_by_a_slice() -> None:
    for count in (8, 80):  # of 100 and of 10 rows
        writer = np.arange(ROWS) % count
        found = {("writer", str(w)): np.flatnonzero(writer == w) for w in range(count)}
        refused = sum(not slice_loss(found, *answers(seed), 0.05)[0] for seed in range(200))
        assert refused <= 200 * slices.LEVEL


def test_a_loss_counts_beyond_the_limit_and_beyond_chance() -> None:
    before, own = np.ones(1000, dtype=bool), np.arange(100)
    for lost, limit, passes in (
        (5, 0.05, True),
        (6, 0.05, False),
        (4, 0.01, True),
        (5, 0.01, False),
    ):
        now = np.arange(1000) >= lost
        one = {("writer", "a"): own}
        passed, found, allowed, _ = slice_loss(one, before, now, limit)
        assert passed == passes
        p_value = mcnemar_exact(0, lost, alternative="less")
        assert found.endswith(
            f"0.9{10 - lost}00 against 1.0000 on 100 rows; worse with p = {p_value:.3g}"
        )
        # slices in which no answer differs cost nothing, one in which as many do halves the level
        same = {("writer", str(n)): np.arange(200, 300) for n in range(50)}
        assert slice_loss(one | same, before, now, limit)[0] == passes
        assert "p above 0.05 (0.05 for 1 of 1 slices)" in allowed
    assert slice_loss(one | {("camera", "b"): own}, before, now, limit)[0]
