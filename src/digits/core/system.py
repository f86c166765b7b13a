"""The machine: its processor, and what a process needs of the operating system."""

import os
import platform
import signal
import time
from contextlib import suppress
from pathlib import Path
from threading import Thread

CPUINFO = Path("/proc/cpuinfo")  # of Linux
POLL_S = 0.5


def die_with_parent() -> None:
    """Get SIGTERM when the parent dies: no training outlives its `dvc repro`."""
    Thread(target=_watch, args=[os.getppid()], name="parent", daemon=True).start()


def _watch(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(POLL_S)
    os.kill(os.getpid(), signal.SIGTERM)


def processor() -> str:
    """The processor's name."""
    return _cpuinfo("model name") or platform.processor() or platform.machine()


def instruction_sets() -> list[str]:
    """The processor's flags or features; empty except on Linux."""
    return (_cpuinfo("flags") or _cpuinfo("Features")).split()


def processors() -> int:
    """How many logical processors this process and its container may use; at least 1."""
    import joblib  # type: ignore[import-untyped]  # 0.1 s

    return int(joblib.cpu_count())


def _cpuinfo(field: str) -> str:
    """A field of the first processor; empty if there is none."""
    with suppress(OSError):
        for line in CPUINFO.read_text(encoding="utf-8").splitlines():
            if line.startswith(field):
                return line.partition(":")[2].strip()
    return ""
