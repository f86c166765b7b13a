"""Two models on the same rows: figures, Pareto front, and the verdict in words."""

from itertools import combinations

import numpy as np
import pytest

from imageproof.judge._comparison import (
    Candidate,
    compare_pair,
    paired_interval,
    pareto_front,
)
from imageproof.judge._verdicts import choice, verdict


def pairs_of(wrong, seconds):
    """Every two of these models, which are wrong on so many of 10,000 rows, none in common."""
    truth = np.zeros(10_000, dtype=np.int64)
    candidates = []
    start = 0
    for name, count in wrong.items():
        predicted = truth.copy()
        predicted[start : start + count] = 1
        start += count
        candidates.append(Candidate(name, predicted, seconds[name]))
    return [compare_pair(a, b, truth) for a, b in combinations(candidates, 2)]


def pair_of(mlp_wrong, cnn_wrong, *, cnn_s=100.0, mlp_s=100.0):
    [pair] = pairs_of({"mlp": mlp_wrong, "cnn": cnn_wrong}, {"mlp": mlp_s, "cnn": cnn_s})
    return pair


def test_rows_on_which_a_model_and_itself_differ_are_listed():
    """It once failed on the last row."""
    answers = [[1, 1, 1, 0, 0, 0, -1], [0, 0, 0, 1, 1, 0, 1]]
    candidates = [Candidate("m", np.array(row), None) for row in answers]
    pair = compare_pair(*candidates, np.zeros(7, int))
    assert (pair.better_right, pair.other_right, pair.disagreements) == ([0, 1, 2], [3, 4], 6)


def test_interval_is_that_of_the_published_example():
    # airway hyper-responsiveness, Fagerland, Lydersen and Laake 2014, table V
    assert paired_interval(1, 7, 21) == pytest.approx((-0.508, -0.013), abs=5e-4)


def test_both_test_and_interval_must_be_beyond_noise():
    pair = pair_of(11, 3)
    assert pair.lower > 0
    assert 0.05 < pair.p_value < 0.06
    assert pair.within_noise
    assert not pair_of(11, 2).within_noise


def test_pareto_front():
    points = {"c": (300, 0.99), "slow": (200, 0.98), "b": (100, 0.98), "a": (100, 0.98)}
    assert pareto_front(points) == ["a", "b", "c"]


GAIN = "cnn gains 1.10 points over mlp (95 % interval 0.83 to 1.37, p < 0.001)"


@pytest.mark.parametrize(
    ("wrong", "cnn_s", "mlp_s", "sentence"),
    [
        ((150, 40), 231_000, 222,
         f"{GAIN} for 1,040.5 times the training time: 2,100 s per error avoided in 10,000"),
        ((150, 40), 50, 100, f"{GAIN} and trains 2.0 times faster: better in both"),
        ((150, 40), 102, 100, f"{GAIN} for the same training time"),
        ((30, 25), 50, 100, "no difference beyond noise: cnn gains 0.05 points over mlp "
         "(95 % interval -0.10 to 0.20, p = 0.59) and trains 2.0 times faster"),
        ((40, 40), 1000, 100, "mlp and cnn are equally accurate "
         "(95 % interval -0.18 to 0.18, p = 1); mlp trains 10.0 times faster"),
        ((42, 25), None, None,
         "cnn gains 0.17 points over mlp (95 % interval 0.01 to 0.33, p = 0.0498)"),
        ((0, 0), 100, 100, "cnn and mlp give the same answer on all 10,000 images; both train "
         "equally long"),
    ],
)  # fmt: skip
def test_verdict(wrong, cnn_s, mlp_s, sentence):
    assert verdict(pair_of(*wrong, cnn_s=cnn_s, mlp_s=mlp_s)) == sentence


BEST = "is the choice: no model is more accurate beyond noise, and none trains faster"


@pytest.mark.parametrize(
    ("wrong", "seconds", "line"),
    [
        ({"mlp": 170, "cnn": 85, "compact": 40}, {"mlp": 54, "cnn": 306, "compact": 42},
         f"compact {BEST}"),
        ({"mlp": 45, "cnn": 40}, {"mlp": 54, "cnn": 306}, f"mlp {BEST}"),
        ({"cnn": 170, "deep": 40, "compact": 45, "mlp": 400},
         {"mlp": 21, "cnn": 50, "deep": 306, "compact": 294},
         "No model is best in both: compact is more accurate (+3.55 points), mlp trains 14.0 times "
         "faster"),
        ({"mlp": 170, "cnn": 40}, {"mlp": None, "cnn": 306},
         "cnn is the choice by accuracy alone: no model is more accurate beyond noise; times cannot"
         " be compared"),
        ({"mlp": 170, "cnn": 40, "compact": 45}, {"mlp": 1, "cnn": 306, "compact": None},
         "No choice: cnn and compact differ by noise only, and training times cannot be compared"),
    ],
)  # fmt: skip
def test_choice(wrong, seconds, line):
    assert choice(pairs_of(wrong, seconds), seconds) == line
