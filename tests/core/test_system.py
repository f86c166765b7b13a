"""What only Linux has and what stands in for it: as here, and as on a system without it."""

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from support import REPOSITORY, has_ended, until

from digits.core import machine, system

HERE = ""
# psutil asks for the system itself, so it comes first.
ELSEWHERE = """
import ctypes, psutil, sys
sys.platform = "darwin"
ctypes.CDLL = lambda name: object()
"""
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
LEADER = """
import runpy, sys
sys.argv[1:] = ["http.server", "--bind", "127.0.0.1", "0"]
print(__import__("os").getpid(), flush=True)
runpy.run_module("digits.core.commands", run_name="__main__")
"""
PARENT = "import subprocess, sys; subprocess.run([sys.executable, '-uc', sys.argv[1]], **{options})"


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGKILL])
@pytest.mark.parametrize("place", [HERE, ELSEWHERE], ids=["here", "elsewhere"])
def test_a_stage_ends_cleanly_when_its_parent_dies(place: str, signum: signal.Signals) -> None:
    command = [sys.executable, "-c", PARENT.format(options={}), place + STAGE]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        parent.send_signal(signum)
        assert parent.stdout.read() == "cleaned up"
    assert until(lambda: has_ended(pid))


@pytest.mark.parametrize("place", [HERE, ELSEWHERE], ids=["here", "elsewhere"])
def test_a_process_group_ends_when_the_parent_of_its_leader_dies(place: str) -> None:
    options = {"start_new_session": True}
    command = [sys.executable, "-c", PARENT.format(options=options), place + LEADER]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        assert parent.stdout.readline().startswith("Serving")
        parent.kill()
    assert until(lambda: has_ended(pid))


def test_nobody_watches_a_parent_that_the_kernel_watches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(system.ctypes, "CDLL", lambda name: Libc())
    monkeypatch.setattr(system, "Thread", None)
    system.die_with_parent()


class Libc:
    def prctl(self, option: int, signum: int) -> int:
        assert (option, signum) == (1, signal.SIGTERM)
        return 0


def test_the_processor_and_its_vector_instructions_are_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "cpuinfo").write_text(
        "processor\t: 0\nmodel name\t: Abacus 9\nflags\t: fpu avx2 avx512_bf16 fma\n\n"
        "processor\t: 1\nmodel name\t: Abacus 8\nflags\t: fpu\n",
        encoding="utf-8",
    )
    monkeypatch.setattr(system, "PROC", tmp_path)
    monkeypatch.delenv("DIGITS_NO_BFLOAT16", raising=False)
    assert machine.cpu() == f"Abacus 9, {os.cpu_count()} cores"
    assert machine.cpu_features() == ["avx2", "avx512_bf16", "fma"]
    monkeypatch.setenv("DIGITS_NO_BFLOAT16", "1")
    assert machine.cpu_features() == ["avx2", "fma"]


def test_without_proc_the_kernel_is_asked_for_the_processor(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    program = tmp_path / "sysctl"
    program.write_text('#!/bin/sh\n[ "$2" = machdep.cpu.brand_string ] && echo "Apple M4"\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(system, "PROC", tmp_path)
    assert system.processor() == "Apple M4"
    assert system.instruction_sets() == []


def test_without_proc_and_sysctl_python_is_asked_for_the_processor(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(system, "PROC", tmp_path)
    monkeypatch.setattr(system.platform, "processor", lambda: "arm")
    assert system.processor() == "arm"


@pytest.mark.parametrize(
    ("quota", "count"),
    [("max 100000\n", 64), ("250000 100000\n", 2), ("5000 100000\n", 1), ("", 64), (None, 64)],
)
def test_a_container_has_the_processors_of_its_quota(
    quota: str | None, count: int, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    if quota is not None:
        (tmp_path / "cpu.max").write_text(quota)
    monkeypatch.setattr(system, "QUOTA", tmp_path / "cpu.max")
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(64)), raising=False)
    assert system.processors() == count


def test_a_process_has_the_processors_that_it_is_bound_to(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(system, "QUOTA", Path("/nowhere"))
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {0, 3}, raising=False)
    assert system.processors() == 2
    monkeypatch.delattr(os, "sched_getaffinity")
    assert system.processors() == os.cpu_count()


@pytest.mark.parametrize("proc", [Path("/proc"), Path("/nowhere")])
def test_the_memory_of_a_process_is_measured(proc: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(system, "PROC", proc)
    assert system.peak_memory(os.getpid()) > 10_000_000
    assert system.peak_memory(2**30) == 0


def test_a_group_of_none_but_zombies_is_no_error() -> None:
    with subprocess.Popen(["true"], start_new_session=True) as ended:
        assert until(lambda: has_ended(ended.pid))
        system.signal_group(ended.pid, signal.SIGKILL)
    system.signal_group(ended.pid, signal.SIGKILL)


# Python's words for what only some systems have, and programs and flags only GNU's tools know.
OF_ONE_SYSTEM = re.compile(
    r"/proc/|/dev/shm|\bprctl\b|\bfcntl\b|\bsched_\w+|sys\.platform|platform\.(system|processor)\b"
    r"|ru_maxrss|\bflock\b|\bsetsid\b|\btimeout -|\breadlink -f|\bdate -d|\bsed -[iE]|\bxargs -r"
    r"|\bgrep -P|--reflink|\bstat -c|\bnproc\b"
)
PLACES = ("src", "flows", "benchmarks", "tests", "docs", "Makefile", "Procfile", "*.sh", "*.yaml")


def test_no_other_module_names_what_only_some_systems_have() -> None:
    own = {Path(system.__file__), Path(__file__)}
    found = [path for place in PLACES for path in REPOSITORY.glob(place)]
    files = [file for path in found for file in ([path] if path.is_file() else path.rglob("*.py"))]
    assert [
        f"{file.relative_to(REPOSITORY)}: {line}"
        for file in files
        if file not in own
        for line in file.read_text("utf-8").splitlines()
        if OF_ONE_SYSTEM.search(line)
    ] == []
