"""One model's results at two revisions: the state in words, the paired test."""

import numpy as np
import pytest

from imageproof.base._dataset import Dataset
from imageproof.diff._difference import Recorded, compare_results
from imageproof.judge._timing import Training

TRUTH = np.arange(1000) % 4


def result(wrong):
    """Sure answers, of which so many are wrong."""
    predicted = TRUTH.copy()
    predicted[:wrong] += 1
    probabilities = np.eye(4, dtype=np.float32)[predicted % 4]
    metrics = {"test.accuracy": 1 - wrong / 1000}
    return Recorded(metrics, dict.fromkeys("abcd", 0.5), probabilities, Training(2, 0, ""))


def compared(old, new, groups=None):
    test = Dataset(np.zeros((1000, 1, 1), np.uint8), TRUTH, groups)
    return compare_results(old, new, {"old": 2.0, "new": 2.0}, test)


@pytest.mark.parametrize(
    ("old", "new", "verdict"),
    [
        (result(30), result(60), "worse: accuracy 97.00 → 94.00 %, p < 0.001"),
        (result(30), result(29), "no difference beyond noise: accuracy 97.00 → 97.10 %, p = 1"),
    ],
)
def test_verdict_is_one_line(old, new, verdict):
    assert compared(old, new).verdict == verdict


def test_rows_of_one_group_prove_nothing():
    groups = np.zeros(1000, np.int64)
    difference = compared(result(60), result(30), groups)
    assert difference.pair.p_value is None
    assert difference.verdict == "no verdict: accuracy 94.00 → 97.00 %, too few groups"
    assert compared(result(30), result(30), groups).state == "same answers"
