"""Whether the hold-out has rows enough for the gate's limits."""

import pytest
from example import PARAMS
from scipy.stats import binomtest

from imageproof.judge.limits import PromoteParams, counts_of, rows_needed, split_warnings


def needed(limits, *rows):
    """The rows that these limits need, of so many in each class."""
    params = PromoteParams(**dict.fromkeys(PromoteParams.model_fields) | limits)
    return rows_needed(params, counts_of([*rows, sum(rows)]))


def warnings_of(*counts, **groups):
    """What is said of so many hold-out rows in each class, by the usual limits."""
    by_class = {str(label): count for label, count in enumerate(counts) if count}
    summary = {
        "class_counts": {"holdout": by_class},
        "rows": {"holdout": sum(counts)},
        "copies": {},
        **groups,
    }
    names = [f"boot {label}" for label in range(len(counts))]
    return split_warnings(summary, PromoteParams(**PARAMS["promote"]), names)


def test_holdout_too_small_for_the_gate_is_one_line():
    assert warnings_of(*[50] * 10) == []
    [line] = warnings_of(49, 1, *[49] * 5)
    assert line.startswith("295 hold-out rows, 1 of class boot 1, are too few for promote.max_sens")
    assert "promote.min_sensitivity (2 of each class), promote.max_accuracy_loss (500), " in line
    assert "promote.max_total_loss (334), promote.max_balanced_accuracy_loss (48 of each" in line
    assert "296 hold-out rows, 0 of class boot 7" in warnings_of(*[49] * 6, 2, 0)[0]


@pytest.mark.parametrize("limit", [0.1, 0.97])
def test_minima_are_reached_by_the_exact_interval(limit):
    [rows] = needed({"min_sensitivity": limit}, 1).values()
    ends = [binomtest(n, n).proportion_ci(method="exact").low for n in (rows - 1, rows)]
    assert ends[0] < limit <= ends[1]
    for key in ("min_balanced_accuracy", "min_macro_f1"):  # two classes of half the rows
        half = (rows + 1) // 2
        assert needed({key: limit}, half - 1, half) == {key: half}
        assert needed({key: limit}, half, half) == {}


def test_rows_of_few_groups_are_fewer():
    [line] = warnings_of(300, 300, groups={"holdout": 2})
    start = "600 hold-out rows, in 2 groups worth 14 at most, 7 of class boot 0, are too few for"
    assert line.startswith(f"{start} promote.max_sensitivity_loss (50 of each")
    groups = {"holdout": 600}
    assert warnings_of(300, 300, groups=groups) == warnings_of(300, 300) == []


def test_copies_of_training_rows_are_one_line():
    rows = {"test": 90, "holdout": 500}
    [line] = warnings_of(*[50] * 10, copies={"test": 8, "holdout": 0}, rows=rows)
    assert line.startswith("8 of 90 test rows are copies of training images: accuracy on them is")
