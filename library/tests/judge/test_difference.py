"""One model's results at two revisions: the state in words, the test, the gate's checks."""

from typing import Any

import numpy as np
import pytest
from example import PARAMS

from imageproof.base.dataset import Probabilities
from imageproof.diff.difference import SKIPPED_CHECKS, Difference, Recorded, Truth, compare_results
from imageproof.judge.comparison import Candidate, compare_pair
from imageproof.judge.limits import PromoteParams

TRUTH = np.arange(1000) % 4
TRUTHS = {"test": Truth(TRUTH), "holdout": Truth(TRUTH)}
GATE = PromoteParams.model_validate(
    PARAMS["promote"] | {"min_accuracy": 0.9, "max_calibration_error": None}
)


def answers(wrong: int, *, offset: int = 0) -> Probabilities:
    """Sure answers, of which the given number are wrong, from row `offset` on."""
    classes = TRUTH.copy()
    classes[offset : offset + wrong] += 1
    return np.eye(4, dtype=np.float32)[classes % 4]


def result(wrong: int, *, offset: int = 0, size_mb: float = 1) -> Recorded:
    probabilities = answers(wrong, offset=offset)
    accuracy = float((probabilities.argmax(axis=1) == TRUTH).mean())
    metrics = {"test.accuracy": accuracy, "elapsed_s": 2.0, "size_mb": size_mb}
    return Recorded(
        metrics, dict.fromkeys("abcd", 0.5), {"test": probabilities, "holdout": probabilities}
    )


def compared(
    old: Recorded | None, new: Recorded | None, truth: dict[str, Truth] = TRUTHS
) -> Difference:
    return compare_results(old, new, truth, GATE)


@pytest.mark.parametrize(
    ("old", "new", "verdict"),
    [
        (
            result(60),
            result(30),
            "better: accuracy 94.00 → 97.00 %, p < 0.001; the gate would accept",
        ),
        (
            result(30),
            result(60),
            "worse: accuracy 97.00 → 94.00 %, p < 0.001; the gate would refuse: "
            "paired_test, max_accuracy_loss, max_balanced_accuracy_loss, max_macro_f1_loss, "
            "max_sensitivity_loss",
        ),
        (
            result(30),
            result(29),
            "no difference beyond noise: accuracy 97.00 → 97.10 %, p = 1; the gate would accept",
        ),
        (result(30), result(30), "same answers: accuracy 97.00 %; the gate would accept"),
        (None, result(200), "new: accuracy 80.00 %; the gate would refuse: min_accuracy"),
        (result(30), None, "gone: accuracy 97.00 %"),
    ],
)
def test_the_verdict_is_one_line(old: Recorded | None, new: Recorded | None, verdict: str) -> None:
    assert compared(old, new).verdict == verdict


def test_the_paired_test_is_that_of_compare() -> None:
    old, new = result(40), result(25, offset=20)
    pair = compared(old, new).pair
    a, b = (
        Candidate(name, r.probabilities["test"].argmax(axis=1), 1)
        for name, r in (("a", old), ("b", new))
    )
    assert pair is not None
    assert 0 < pair.p_value == compare_pair(a, b, TRUTH).p_value < 1


def test_on_other_rows_only_the_metrics_are_compared() -> None:
    difference = compared(result(60), result(30), truth={})
    assert difference.pair is difference.gate is None
    assert difference.as_dict()["gate_not_asked"] == ()
    assert difference.verdict == "not comparable: accuracy 94.00 → 97.00 %"
    assert difference.metrics["test.accuracy"].diff == pytest.approx(0.03)


def test_checks_that_need_more_than_results_are_named_and_not_asked() -> None:
    difference = compared(result(30), result(30, size_mb=51))
    assert difference.gate is not None
    assert difference.gate.failed == ["max_size_mb"]
    assert {check.name for check in difference.gate.checks}.isdisjoint(SKIPPED_CHECKS)
    assert difference.as_dict()["gate_not_asked"] == SKIPPED_CHECKS


def test_what_only_one_side_has_is_a_change_without_a_difference() -> None:
    old, new = result(30), result(30)
    shown: dict[str, Any] = compared(
        Recorded({**old.metrics, "ece": 0.1}, {"a": 0.5, "e": 1}, old.probabilities),
        Recorded(new.metrics, dict.fromkeys("abcd"), new.probabilities),
    ).as_dict()
    assert shown["metrics"]["ece"] == {"old": 0.1, "new": None, "diff": None}
    assert [*shown["sensitivity"]] == [*"abcde"]
    assert shown["sensitivity"]["a"] == {"old": 0.5, "new": None, "diff": None}
