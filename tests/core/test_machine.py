"""What is told about the processor, and the slots for trainings, which processes share."""

import os
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


@pytest.mark.parametrize(
    ("visible", "mirrored", "at_once", "own"),
    [("0,1", False, 2, "0"), ("0, GPU-2", True, 1, "0,GPU-2"), ("GPU-2", False, 1, "GPU-2")],
)
def test_each_training_has_a_gpu_of_its_own_or_all_of_them(
    visible: str,
    mirrored: bool,
    at_once: int,
    own: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv(machine.GPUS, visible)
    assert machine.trainings_at_once(1, mirrored=mirrored) == at_once
    with machine.own_gpu(tmp_path, print, mirrored=mirrored):
        assert os.environ[machine.GPUS] == own
        monkeypatch.setenv(machine.GPUS, visible)
        if at_once == 2:
            with machine.own_gpu(tmp_path, print, mirrored=mirrored):
                assert os.environ[machine.GPUS] == "1"


@pytest.mark.parametrize("libraries", [False, True])
def test_a_card_that_tensorflow_has_no_libraries_for_is_no_gpu(
    libraries: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    driver = tmp_path / "nvidia-smi"
    driver.write_text("#!/bin/sh\necho GPU-1\necho GPU-2\n")
    driver.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    monkeypatch.delenv(machine.GPUS, raising=False)
    if libraries:
        (tmp_path / "nvidia/cudnn").mkdir(parents=True)
        monkeypatch.syspath_prepend(tmp_path)
    assert machine.gpus() == (["GPU-1", "GPU-2"] if libraries else [])


@pytest.mark.parametrize("visible", ["", "-1"])
def test_without_a_gpu_the_cores_count(
    visible: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(machine.GPUS, visible)
    monkeypatch.setattr(system, "processors", lambda: 4)
    assert machine.trainings_at_once(2, mirrored=True) == 2
    with machine.own_gpu(tmp_path, print, mirrored=True):
        assert os.environ[machine.GPUS] == visible


@pytest.mark.parametrize(("cores", "threads", "expected"), [(8, 2, 4), (8, 3, 2), (2, 4, 1)])
def test_each_training_has_cores_of_its_own(
    cores: int, threads: int, expected: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(system, "processors", lambda: cores)
    assert machine.trainings_at_once(threads) == expected
