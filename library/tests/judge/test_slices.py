"""Slices: which rows they are, how a model does in them, and what the gate makes of it."""

from io import StringIO

import numpy as np
import pandas as pd
import pytest
from scipy.stats import binomtest

from imageproof.judge._comparison import mcnemar_exact
from imageproof.judge._slices import find_slices, measure, read_table, slice_loss
from imageproof.judge._verdicts import beside, change_beside, p_text


def test_slice_has_rows_enough_and_a_column_mostly_slices():
    metadata = pd.DataFrame(
        {
            "camera": ["a"] * 10 + ["b"] * 9 + [""] * 41,
            "date": [f"2024-{n:04}" for n in range(60)],
            "empty": [""] * 60,
        },
        index=np.arange(60)[::-1],
    )
    rows, left_out = find_slices(metadata)
    assert [*rows] == [("camera", "a")]
    assert rows["camera", "a"].tolist() == [*range(10)]
    assert left_out == ["column date: no slices, as 0 of its 60 values have at least 10 rows"]


def test_table_survives_its_file_and_begins_with_the_weakest():
    def table_of(rows, hits, groups=None):
        """What is read of the file that `evaluate` writes."""
        measured = measure(rows, hits, groups).assign(split="test")
        return read_table(StringIO(measured.to_csv(index=False)))

    hostile = '=1+1,"<b>|\n\u202e'
    rows = {("writer", "NA"): np.arange(10), (hostile, hostile): np.arange(10, 100)}
    table = table_of(rows, np.arange(100) >= 60)
    assert table["value"].tolist() == ["NA", hostile]
    interval = binomtest(40, 90).proportion_ci(method="exact")
    assert table.iloc[1].tolist()[2:-1] == [90, 40 / 90, *map(pytest.approx, interval)]
    one_group = np.zeros(100, int)
    assert table_of(rows, one_group == 0, one_group)["lower"].isna().all()
    assert table_of({}, one_group).empty


def test_figures_are_printed_on_their_side_of_the_limit():
    levels = 0.05, 0.0535, 0.0539
    texts = [p_text(0.053877, level) for level in levels]
    assert texts == ["p = 0.054", "p = 0.054", "p = 0.05388"]
    assert p_text(0.0009) == "p < 0.001"
    assert beside(0.96996, 0.97) == "0.96996"
    assert change_beside(-0.0, 0.003) == "+0.0000"
    assert change_beside(0.9 - 0.902, 0.002) == "-0.0020"
    assert change_beside(-0.00204, 0.002) == "-0.00204"


@pytest.mark.parametrize(
    ("lost", "limit", "passes"),
    [(5, 0.05, True), (6, 0.05, False), (4, 0.01, True), (5, 0.01, False)],
)
def test_loss_counts_beyond_the_limit_and_beyond_chance(lost, limit, passes):
    champion = np.ones(1000, dtype=bool)
    challenger = np.arange(1000) >= lost
    writer = {("writer", "a"): np.arange(100)}
    passed, _, _, figures = slice_loss(writer, champion, challenger, limit)
    assert passed == passes
    p_value = mcnemar_exact(0, lost, alternative="less")
    assert figures == {"worst_slice_change": -lost / 100, "worst_slice_p_value": p_value}
    # slices in which no answer differs cost nothing, one in which as many do halves the level, so
    # that 5 are too few
    same = {("writer", str(n)): np.arange(200, 300) for n in range(50)}
    assert slice_loss(writer | same, champion, challenger, limit)[0] == passes
    camera = {("camera", "b"): np.arange(100)}
    assert slice_loss(writer | camera, champion, challenger, limit)[0] == (lost < 6)
