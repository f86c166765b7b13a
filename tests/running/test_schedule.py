"""How long stages take, which run side by side, and what is said of the time left."""

from pathlib import Path

import pytest
from support import PARAMS, changed

from digits.core.pipeline import Stage
from digits.params import check
from digits.running import durations
from digits.running.progress import Board
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
        (2, "explore", "validate split", ""),  # a training shares its cores with nothing
        (2, "", "validate explore split", "train@a"),
        (4, "", "validate explore split", "train@a train@b"),
        (4, "explore", "validate split", "train@a"),
        (2, "", "validate explore split train@a", "train@b"),  # before evaluate@a
        (4, "train@b", "validate explore split train@a", "evaluate@a"),
        (2, "", "validate explore split train@a train@b", "evaluate@a evaluate@b"),
    ],
)
def test_startable_stages(cores: int, running: str, done: str, starts: str) -> None:
    assert on(cores).startable(running.split(), done.split()) == starts.split()


@pytest.mark.parametrize(("cores", "seconds"), [(1, 350), (2, 330), (4, 230)])
def test_seconds_left(cores: int, seconds: float) -> None:
    assert on(cores).seconds_left(SECONDS, running=[]) == seconds


def test_seconds_left_of_a_started_run() -> None:
    left = {"train@b": 40.0, "evaluate@a": 10.0, "evaluate@b": 10.0, "compare": 100.0}
    assert on(2).seconds_left(left, running=["train@b"]) == 150


def test_may_change_follows_dependencies() -> None:
    stages = [
        stage("validate", changed=False),
        stage("explore"),
        stage("split", "validate", changed=False),
        stage("report", "explore", changed=False),
    ]
    assert [s.name for s in may_change(stages)] == ["explore", "report"]


def test_guess_scales_the_last_run(workspace: Path) -> None:
    params = check(changed({"train.mlp.fit.epochs": 20}))
    durations.record({"train@mlp": 48.0, "validate": 3.0, "train": 12.0}, params)
    less = check(changed({"train.mlp.fit.epochs": 40, "data.percent": 10}))
    assert durations.guess("train@mlp", params) == 48
    assert durations.guess("train@mlp", less) == 16  # 8 s beside the epochs, 2 s an epoch
    assert durations.guess("validate", less) == 3
    assert durations.guess("train", params) == 12  # a stage of this name has no epochs


@pytest.mark.parametrize("content", [None, "{", '{"train@mlp": [-1, 0]}'])
def test_guess_without_last_run(workspace: Path, content: str | None) -> None:
    if content is not None:
        durations.LAST_RUN.parent.mkdir()
        durations.LAST_RUN.write_text(content)
    params = check(PARAMS)
    assert durations.guess("train@mlp", params) == durations.MEASURED["train@mlp"][0]
    assert durations.guess("train@own", params) is None
    durations.record({"compare": 2.5}, params)
    assert durations.guess("compare", params) == 2.5


@pytest.mark.parametrize(("seconds", "left"), [(300.0, "about 6:00"), (None, "more than 1:00")])
def test_board_tells_time_left(
    seconds: float | None, left: str, capsys: pytest.CaptureFixture[str]
) -> None:
    guesses = {"train@mlp": 60.0, "train@cnn": seconds}
    stages = [stage(name) for name in guesses]
    with Board(Schedule(stages, threads=2, cores=2, processors=2), guesses) as board:
        assert f"0 of 2 stages, {left} left" in capsys.readouterr().out
        for name in guesses:
            board.start(name)
            board.end(name, "done")
    assert capsys.readouterr().out.endswith("2 of 2 stages\n")
    assert board.seconds().keys() == guesses.keys()
