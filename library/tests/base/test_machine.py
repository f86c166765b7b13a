"""The processor and its instruction sets."""

import os

from imageproof.base import _machine


def test_cpu_and_its_vector_instructions(monkeypatch, tmp_path):
    monkeypatch.setattr(_machine, "CPUINFO", tmp_path / "cpuinfo")
    assert _machine.cpu()
    assert _machine.cpu_features() == []
    processors = "model name\t: Abacus 9\nflags\t: fpu avx2 avx512_bf16 fma\n\nflags\t: fpu\n"
    (tmp_path / "cpuinfo").write_text(processors)
    monkeypatch.delenv("IMAGEPROOF_NO_BFLOAT16", raising=False)
    assert _machine.cpu() == f"Abacus 9, {os.cpu_count()} cores"
    assert _machine.cpu_features() == ["avx2", "avx512_bf16", "fma"]
    monkeypatch.setenv("IMAGEPROOF_NO_BFLOAT16", "1")
    assert _machine.cpu_features() == ["avx2", "fma"]
