"""One model's results at two revisions: the state in words, the test, the gate's checks."""

import numpy as np
import pytest
from example import PARAMS

from imageproof.base._dataset import Dataset, Split
from imageproof.diff._difference import SKIPPED_CHECKS, Recorded, compare_results
from imageproof.judge._timing import Training
from imageproof.judge.limits import PromoteParams

TRUTH = np.arange(1000) % 4
GATE = PromoteParams.model_validate(
    PARAMS["promote"] | {"min_accuracy": 0.9, "max_calibration_error": None}
)


def result(wrong, *, size_mb=1):
    """Sure answers, of which so many are wrong."""
    predicted = TRUTH.copy()
    predicted[:wrong] += 1
    probabilities = np.eye(4, dtype=np.float32)[predicted % 4]
    metrics = {"test.accuracy": 1 - wrong / 1000, "size_mb": size_mb}
    answers = {"test": probabilities, "holdout": probabilities}
    return Recorded(metrics, dict.fromkeys("abcd", 0.5), answers, Training(2, 0, ""))


def split(*ends, groups=None):
    rows = np.arange(*ends)
    data = Dataset(np.zeros((len(rows), 1, 1), np.uint8), TRUTH[rows % 1000], groups)
    return Split(data, rows)


SPLITS = {"test": split(0, 1000), "holdout": split(1000, 2000)}


def compared(old, new, splits=SPLITS):
    results = {"old": old, "new": new} if old else {"new": new}
    return compare_results(results, dict.fromkeys(results, 2.0), splits, GATE)


@pytest.mark.parametrize(
    ("old", "new", "verdict"),
    [
        (
            result(30),
            result(60),
            "worse: accuracy 97.00 → 94.00 %, p < 0.001; the gate would refuse: paired_test, max_",
        ),
        (
            result(30),
            result(29),
            "no difference beyond noise: accuracy 97.00 → 97.10 %, p = 1; the gate would accept",
        ),
        (None, result(200), "new: accuracy 80.00 %; the gate would refuse: min_accuracy"),
    ],
)
def test_verdict_is_one_line(old, new, verdict):
    assert compared(old, new).verdict.startswith(verdict)


def test_rows_of_one_group_prove_nothing():
    groups = np.zeros(1000, np.int64)
    splits = {"test": split(0, 1000, groups=groups), "holdout": split(1000, 2000, groups=groups)}
    difference = compared(result(60), result(30), splits)
    assert difference.pair.p_value is None
    assert difference.verdict.startswith("no verdict: accuracy 94.00 → 97.00 %, too few groups; ")
    checks = {check.name: check.found for check in difference.gate.checks}
    assert "too few groups to tell" in checks["paired_test"]
    assert compared(result(30), result(30), splits).state == "same answers"


def test_holdout_within_test_is_no_test_of_it():
    """A model that was fitted to the hold-out rows, which are the last 500 of the test rows."""
    new = result(12)
    new.probabilities["holdout"] = new.probabilities["test"][500:]
    holdout = split(500, 1000, groups=np.arange(500))
    for size, failed in ((1, ["holdout_test"]), (250, [])):  # rows of a group
        test = split(0, 1000, groups=np.arange(1000) // size)
        assert compared(None, new, {"test": test, "holdout": holdout}).gate.failed == failed


@pytest.mark.parametrize(
    ("names", "text"),
    [
        ("0123", "0.9700 against 0.9700"),  # they had no names
        ("wxyz", "its classes are called otherwise"),  # in which order, nobody knows
        ("bacd", "0.9700 against 0.4940"),  # the champion is wrong
        ("abcx", "its classes are called otherwise"),
        ("abc", "different numbers of classes"),
    ],
)
def test_gate_compares_classes_by_their_names(names, text):
    old = result(30)._replace(sensitivity=dict.fromkeys(names, 0.5))
    checks = {check.name: check.found for check in compared(old, result(30)).gate.checks}
    assert checks["max_accuracy_loss"].startswith(text)


def test_checks_that_need_more_than_results_are_not_asked():
    difference = compared(result(30), result(30, size_mb=51))
    assert difference.gate.failed == ["max_size_mb"]
    assert {check.name for check in difference.gate.checks}.isdisjoint(SKIPPED_CHECKS)
    difference = compared(result(30), result(30), {"holdout": SPLITS["holdout"]})
    skipped = {*SKIPPED_CHECKS, "holdout_test"}
    are_on = {name for name, limit in GATE if limit is not None}
    assert {*difference.as_dict()["gate_not_asked"]} == skipped & are_on < skipped
