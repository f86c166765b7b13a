"""What is told about the processor, and the slots for trainings, which processes share."""

import subprocess
import sys
from pathlib import Path

import pytest
from support import until

from digits.core import machine, system
from digits.core.machine import Slots

HOLD = """
import sys, time
from pathlib import Path
from digits.core.machine import Slots
held = Slots(Path(sys.argv[1]), 1).take()
print(held is not None, flush=True)
time.sleep(600)
"""


def test_as_many_trainings_as_there_are_slots_run_at_once(tmp_path: Path) -> None:
    few = Slots(tmp_path, 2)
    first, second = few.take(), few.take()
    assert first is not None
    assert second is not None
    assert few.take() is None
    first.release()
    assert few.take() is not None


def test_a_killed_training_frees_its_slot(tmp_path: Path) -> None:
    command = [sys.executable, "-c", HOLD, str(tmp_path)]
    cores = Slots(tmp_path, 1)
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as training:
        assert training.stdout is not None
        assert training.stdout.readline() == "True\n"
        assert cores.take() is None
        training.kill()
    assert until(lambda: cores.take() is not None)


def test_who_waits_for_a_slot_can_give_up(tmp_path: Path) -> None:
    def give_up() -> None:
        raise KeyboardInterrupt

    cores = Slots(tmp_path, 1)
    other = cores.take()
    messages: list[str] = []
    with pytest.raises(KeyboardInterrupt), cores.one(messages.append, check=give_up):
        pytest.fail("there was no slot")
    assert messages == ["waiting for free cores: other trainings run in this folder"]
    assert other is not None


@pytest.mark.parametrize(("cores", "threads", "expected"), [(8, 2, 4), (8, 3, 2), (2, 4, 1)])
def test_each_training_has_cores_of_its_own(
    cores: int, threads: int, expected: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(system, "processors", lambda: cores)
    assert machine.trainings_at_once(threads) == expected
