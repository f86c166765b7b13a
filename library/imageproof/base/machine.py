"""The processors of this machine."""

import os
import platform
import re
from pathlib import Path

from imageproof.base.naming import variable

CPUINFO = Path("/proc/cpuinfo")  # of Linux
# CPU instruction sets TensorFlow dispatches on; others change the last bits of a result.
FEATURES = ("amx", "asimd", "avx", "bf16", "f16c", "fma", "sse4", "sve")


def cpu() -> str:
    name = _cpuinfo("model name") or platform.processor() or platform.machine()
    return f"{name}, {os.cpu_count()} cores"


def cpu_features() -> list[str]:
    """The instruction sets for floating-point vectors, sorted; empty except on Linux."""
    # without those for bfloat16 no training uses them
    left_out = "bf16" if os.environ.get(variable("NO_BFLOAT16")) else "\0"
    flags = (_cpuinfo("flags") or _cpuinfo("Features")).split()
    return sorted(flag for flag in flags if flag.startswith(FEATURES) and left_out not in flag)


def has_fast_bfloat16() -> bool:
    """Whether the processor multiplies bfloat16 faster than float32.

    It does with AMX, and with AMD's AVX-512. Intel's AVX-512 alone has half the rate of float32: 82
    of 154 GFLOP/s of a core, in a product of two matrices 2048×2048.
    """
    features = cpu_features()
    amd = "avx512_bf16" in features and _cpuinfo("vendor_id") == "AuthenticAMD"
    return amd or "amx_bf16" in features


def processors() -> int:
    """How many logical processors this process and its container may use; at least 1."""
    import joblib  # type: ignore[import-untyped]  # 0.1 s

    return int(joblib.cpu_count())


def _cpuinfo(field: str) -> str:
    text = CPUINFO.read_text("utf-8") if CPUINFO.exists() else ""
    found = re.search(rf"^{field}.*?:(.*)", text, re.MULTILINE)
    return found[1].strip() if found else ""
