"""The processors of this machine."""

import os
import platform
import re
from pathlib import Path

from imageproof.base._naming import variable

CPUINFO = Path("/proc/cpuinfo")  # of Linux
# CPU instruction sets TensorFlow dispatches on; others change the last bits of a result.
FEATURES = ("amx", "asimd", "avx", "bf16", "f16c", "fma", "sse4", "sve")


def cpu() -> str:
    """The processor's name and number of cores, for people."""
    name = _cpuinfo("model name") or platform.processor() or platform.machine()
    return f"{name}, {os.cpu_count()} cores"


def cpu_features() -> list[str]:
    """The instruction sets for floating-point vectors, sorted; empty except on Linux."""
    flags = _cpuinfo("flags") or _cpuinfo("Features")
    features = [flag for flag in flags.split() if flag.startswith(FEATURES)]
    if os.environ.get(variable("NO_BFLOAT16")):  # without these no training uses bfloat16
        features = [feature for feature in features if "bf16" not in feature]
    return sorted(features)


def has_fast_bfloat16() -> bool:
    """Whether the processor multiplies bfloat16 faster than float32.

    It does with AMX, and with AMD's AVX-512. Intel's AVX-512 alone has half the rate of float32: 82
    of 154 GFLOP/s of a core, in a product of two matrices 2048×2048.
    """
    features = cpu_features()
    is_amd = _cpuinfo("vendor_id") == "AuthenticAMD"
    return "amx_bf16" in features or (is_amd and "avx512_bf16" in features)


def processors() -> int:
    """How many logical processors this process and its container may use; at least 1."""
    import joblib  # type: ignore[import-untyped]  # 0.1 s

    return int(joblib.cpu_count())


def _cpuinfo(field: str) -> str:
    if not CPUINFO.exists():
        return ""
    line = re.search(rf"^{field}.*?:(.*)", CPUINFO.read_text("utf-8"), re.MULTILINE)
    return line[1].strip() if line else ""
