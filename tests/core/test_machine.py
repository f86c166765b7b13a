"""What is told about the processor."""

import os
from pathlib import Path

import pytest

from digits.core import machine


@pytest.mark.skipif(not Path("/proc/cpuinfo").exists(), reason="only Linux tells of its processor")
def test_the_processor_and_its_vector_instructions_are_named(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("DIGITS_NO_BFLOAT16", raising=False)
    features = machine.cpu_features()
    assert machine.cpu().endswith(f", {os.cpu_count()} cores")
    assert {"fma", "asimd"} & set(features)
    assert "fpu" not in features
    monkeypatch.setenv("DIGITS_NO_BFLOAT16", "1")
    assert machine.cpu_features() == [name for name in features if "bf16" not in name]


@pytest.mark.parametrize(("cores", "threads", "expected"), [(8, 2, 4), (8, 3, 2), (2, 4, 1)])
def test_each_training_has_cores_of_its_own(
    cores: int, threads: int, expected: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "cpu_count", lambda: cores)
    assert machine.trainings_at_once(threads) == expected
