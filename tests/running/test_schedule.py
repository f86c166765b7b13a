"""Which stages run side by side, and how long that takes."""

import pytest

from digits.core.pipeline import Stage
from digits.running.schedule import Schedule, may_change


def stage(name: str, *upstream: str, changed: bool = True) -> Stage:
    trains = name.startswith("train") or name == "compare"
    return Stage(name, upstream, changed, threaded=trains or name[:4] == "eval", timed=trains)


STAGES = [
    stage("validate", "data.dvc"),
    stage("explore", "data.dvc"),
    stage("split", "validate"),
    stage("train@a", "split"),
    stage("train@b", "split"),
    stage("evaluate@a", "train@a"),
    stage("evaluate@b", "train@b"),
    stage("compare", "evaluate@a", "evaluate@b"),
]
SECONDS = {s.name: 100.0 if s.timed else 10.0 for s in STAGES}


def on(cores: int) -> Schedule:
    return Schedule(STAGES, threads=2, cores=cores, processors=cores)


@pytest.mark.parametrize(
    ("cores", "running", "done", "starts"),
    [
        (1, "", "", "validate"),
        (2, "", "", "validate explore"),
        (2, "explore", "validate", "split"),
        (2, "explore", "validate split", ""),  # a training shares its cores with nothing
        (2, "", "validate explore split", "train@a"),
        (4, "", "validate explore split", "train@a train@b"),
        (4, "explore", "validate split", "train@a"),
        (2, "", "validate explore split train@a", "train@b"),  # before evaluate@a
        (2, "train@b", "validate explore split train@a", ""),
        (4, "train@b", "validate explore split train@a", "evaluate@a"),
        (2, "", "validate explore split train@a train@b", "evaluate@a evaluate@b"),
    ],
)
def test_stages_run_side_by_side_where_none_slows_a_timed_one(
    cores: int, running: str, done: str, starts: str
) -> None:
    assert on(cores).startable(running.split(), done.split()) == starts.split()


@pytest.mark.parametrize(("cores", "seconds"), [(1, 350), (2, 330), (4, 230)])
def test_the_time_left_is_that_of_the_stages_side_by_side(cores: int, seconds: float) -> None:
    assert on(cores).seconds_left(SECONDS, running=[]) == seconds


def test_the_time_left_of_a_run_is_that_of_what_has_not_ended() -> None:
    left = {"train@b": 40.0, "evaluate@a": 10.0, "evaluate@b": 10.0, "compare": 100.0}
    assert on(2).seconds_left(left, running=["train@b"]) == 150


def test_what_changed_and_what_depends_on_it_is_to_run() -> None:
    stages = [
        stage("validate", changed=False),
        stage("explore"),
        stage("split", "validate", changed=False),
        stage("report", "explore", changed=False),
    ]
    assert [s.name for s in may_change(stages)] == ["explore", "report"]
