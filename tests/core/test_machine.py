"""The processor, and how many trainings it has cores for."""

import os
from pathlib import Path

import pytest

from digits.core import machine


def test_cpu_and_its_vector_instructions(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(machine, "CPUINFO", tmp_path / "cpuinfo")
    assert machine.cpu()
    assert machine.cpu_features() == []
    (tmp_path / "cpuinfo").write_text(
        "processor\t: 0\nmodel name\t: Abacus 9\nflags\t: fpu avx2 avx512_bf16 fma\n\n"
        "processor\t: 1\nmodel name\t: Abacus 8\nflags\t: fpu\n",
        encoding="utf-8",
    )
    monkeypatch.delenv("DIGITS_NO_BFLOAT16", raising=False)
    assert machine.cpu() == f"Abacus 9, {os.cpu_count()} cores"
    assert machine.cpu_features() == ["avx2", "avx512_bf16", "fma"]
    monkeypatch.setenv("DIGITS_NO_BFLOAT16", "1")
    assert machine.cpu_features() == ["avx2", "fma"]


@pytest.mark.parametrize(("cores", "threads", "expected"), [(8, 3, 2), (2, 4, 1)])
def test_trainings_at_once(
    cores: int, threads: int, expected: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert 1 <= machine.processors() <= (os.cpu_count() or 1)
    monkeypatch.setattr(machine, "processors", lambda: cores)
    assert machine.trainings_at_once(threads) == expected
