"""What is said of the time left."""

import pytest

from digits.core.pipeline import Stage
from digits.running.progress import Board
from digits.running.schedule import Schedule


@pytest.mark.parametrize(("seconds", "left"), [(300.0, "about 6 min"), (None, "more than 60 s")])
def test_the_time_left_is_that_of_the_stages(
    seconds: float | None, left: str, capsys: pytest.CaptureFixture[str]
) -> None:
    guesses = {"train@mlp": 60.0, "train@cnn": seconds}
    stages = [Stage(name, (), changed=True, threaded=True, timed=True) for name in guesses]
    with Board(Schedule(stages, threads=2, cores=2, processors=2), guesses) as board:
        assert f"0 of 2 stages, {left} left" in capsys.readouterr().out
        for name in guesses:
            board.start(name)
            board.end(name, "done")
    assert capsys.readouterr().out.endswith("2 of 2 stages\n")
    assert board.seconds().keys() == guesses.keys()
