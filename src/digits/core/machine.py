"""The processor of this machine: its name, cores and instruction sets."""

import os
import platform
from pathlib import Path

# CPU instruction sets TensorFlow dispatches on; others change the last bits of a result.
FEATURES = ("amx", "asimd", "avx", "bf16", "f16c", "fma", "sse4", "sve")


def cpu() -> str:
    """The processor's name and its number of cores.

    Without /proc/cpuinfo the name is the one that Python's `platform` knows.
    """
    name = _cpuinfo("model name") or platform.processor() or platform.machine()
    return f"{name}, {os.cpu_count()} cores"


def trainings_at_once(threads: int) -> int:
    """How many trainings with this number of threads have cores of their own; at least 1."""
    return max(1, (os.cpu_count() or 1) // threads)


def cpu_features() -> list[str]:
    """The instruction sets for floating-point vectors, sorted; empty except on Linux.

    With the environment variable DIGITS_NO_BFLOAT16, those for bfloat16 are left out: then no
    training uses them.
    """
    flags = (_cpuinfo("flags") or _cpuinfo("Features")).split()
    if os.environ.get("DIGITS_NO_BFLOAT16"):
        flags = [flag for flag in flags if "bf16" not in flag]
    return sorted(flag for flag in flags if flag.startswith(FEATURES))


def _cpuinfo(field: str) -> str:
    """A field of the first processor; empty if there is none, as on other systems than Linux."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return ""
    return next((line.partition(":")[2].strip() for line in lines if line.startswith(field)), "")
