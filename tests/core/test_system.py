"""What a process needs of the machine."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from support import has_ended, until

from digits.core import machine, system

STAGE = """
import os, time
from digits.core import process
def work():
    try:
        print(os.getpid(), flush=True)
        time.sleep(600)
    finally:
        os.write(1, b"cleaned up")
process.run_stage(work)
"""
PARENT = "import subprocess, sys; subprocess.run([sys.executable, '-uc', sys.argv[1]])"


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGKILL])
def test_a_stage_ends_cleanly_when_its_parent_dies(signum: signal.Signals) -> None:
    command = [sys.executable, "-c", PARENT, STAGE]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        parent.send_signal(signum)
        assert parent.stdout.read() == "cleaned up"
    assert until(lambda: has_ended(pid))


def test_the_processor_and_its_vector_instructions_are_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(system, "CPUINFO", tmp_path / "cpuinfo")
    assert machine.cpu()
    assert system.instruction_sets() == []
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


def test_at_least_one_processor_may_be_used() -> None:
    assert 1 <= system.processors() <= (os.cpu_count() or 1)
