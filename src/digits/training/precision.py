"""Mixed precision where the processor computes with bfloat16 itself."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import keras

BFLOAT16 = {"amx_bf16", "avx512_bf16"}


def has_bfloat16(cpuinfo: Path = Path("/proc/cpuinfo")) -> bool:
    """Whether this processor has instructions for bfloat16; without them it is slower, not faster.

    Where the kernel does not say (it does on Linux, for x86-64) the answer is no, and so it is
    where the environment variable DIGITS_NO_BFLOAT16 is set.
    """
    if os.environ.get("DIGITS_NO_BFLOAT16") or not cpuinfo.exists():
        return False
    lines = cpuinfo.read_text(encoding="utf-8").splitlines()
    flags = next((line for line in lines if line.startswith("flags")), "")
    return not BFLOAT16.isdisjoint(flags.split())


@contextmanager
def training_policy(*, mixed: bool) -> Iterator[None]:
    """Layers built in this block compute in bfloat16, if that is wanted and this CPU has it."""
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_bfloat16" if mixed and has_bfloat16() else "float32")
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)
