"""What is said of the time left."""

import pytest

from digits.core.pipeline import Stage
from digits.running.progress import Board
from digits.running.schedule import Schedule

STAGES = [
    Stage("train@mlp", (), changed=True, threaded=True, timed=True),
    Stage("train@cnn", (), changed=True, threaded=True, timed=True),
]


def board(**guesses: float | None) -> Board:
    return Board(Schedule(STAGES, threads=2, cores=2, processors=2),
                 {f"train@{model}": seconds for model, seconds in guesses.items()})  # fmt: skip


@pytest.mark.parametrize("state", ["unchanged", "from cache"])
def test_a_training_that_did_not_run_tells_nothing_of_the_pace(state: str) -> None:
    stages = board(mlp=60.0, cnn=300.0)
    stages.start("train@mlp")
    stages.end("train@mlp", state)
    assert stages.seconds_left() == 300


def test_a_stage_of_which_nothing_is_known_makes_the_time_left_a_minimum(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with board(mlp=60.0, cnn=None):
        pass
    assert "0 of 2 stages, more than 60 s left" in capsys.readouterr().out
