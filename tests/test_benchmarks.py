"""The figures of docs/benchmarks.md are those that were measured."""

import json
from pathlib import Path

import pytest

from benchmarks import trainings
from benchmarks.parts import page
from benchmarks.workspace import Training

ROOT = Path(__file__).parents[1]


def test_the_page_shows_what_the_json_holds():
    result = json.loads((ROOT / "docs/benchmarks.json").read_text("utf-8"))
    assert page(result) == (ROOT / "docs/benchmarks.md").read_text("utf-8")


@pytest.mark.parametrize(
    ("curves", "expected"),
    [
        ([[0.8, 0.9, 0.8, 0.9]], (1, 5.0)),
        ([[0.8, 0.9], [0.9, 0.9], [0.95, 0.9]], (3, 5.0)),
        ([[0.8, 0.9], [0.8, 0.8]], (1, 10.0)),
        ([[]], (0, None)),
    ],
)
def test_time_to_a_goal_is_that_of_seeds_that_reach_it(curves, expected):
    reached = trainings.seconds_to(0.9, [Training(20.0, 10.0, 1.0, curve) for curve in curves])
    assert (reached["reached"], reached["median_s"]) == expected
