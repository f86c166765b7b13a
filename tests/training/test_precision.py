"""Mixed precision: only where it is wanted and the processor has it, and never in what is saved."""

from pathlib import Path

import numpy as np
import pytest

pytestmark = pytest.mark.usefixtures("tensorflow")


@pytest.fixture(autouse=True)
def no_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DIGITS_NO_BFLOAT16", raising=False)


@pytest.mark.parametrize(
    ("flags", "has"),
    [
        ("fpu avx512_bf16 sse", True),
        ("fpu amx_bf16", True),
        ("fpu avx512f avx2", False),
        ("fpu avx512_bf16x", False),
    ],
)
def test_the_processors_flags_decide_unless_they_are_overruled(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, flags: str, has: bool
) -> None:
    from digits.training.precision import has_bfloat16

    cpuinfo = tmp_path / "cpuinfo"
    cpuinfo.write_text(f"processor\t: 0\nflags\t\t: {flags}\n\nprocessor\t: 1\n")
    assert has_bfloat16(cpuinfo) is has
    monkeypatch.setenv("DIGITS_NO_BFLOAT16", "1")
    assert not has_bfloat16(cpuinfo)


def test_without_a_list_of_flags_there_is_none(tmp_path: Path) -> None:
    from digits.training.precision import has_bfloat16

    assert not has_bfloat16(tmp_path / "cpuinfo")
    (tmp_path / "cpuinfo").write_text("Features: neon\n")
    assert not has_bfloat16(tmp_path / "cpuinfo")


@pytest.mark.parametrize("mixed", [True, False])
def test_the_policy_holds_inside_the_block_only(mixed: bool) -> None:
    import keras

    from digits.training.precision import has_bfloat16, training_policy

    with training_policy(mixed=mixed):
        inside = keras.layers.Dense(1).compute_dtype
    assert inside == ("bfloat16" if mixed and has_bfloat16() else "float32")
    assert keras.layers.Dense(1).compute_dtype == "float32"


def test_the_fused_normalization_trains_as_keras_does() -> None:
    import keras

    from digits.models._normalization import FusedBatchNormalization

    images = np.random.default_rng(0).normal(3, 2, (64, 5, 5, 4)).astype(np.float32)
    layers = [
        kind(momentum=0.9) for kind in (FusedBatchNormalization, keras.layers.BatchNormalization)
    ]
    trained = [np.asarray(layer(images, training=True)) for layer in layers]
    served = [np.asarray(layer(images, training=False)) for layer in layers]
    np.testing.assert_allclose(*trained, atol=1e-4)
    # its variance is the sample's, n / (n - 1) of the one that Keras remembers
    np.testing.assert_allclose(*served, rtol=1e-3)
    assert np.abs(trained[0] - served[0]).max() > 0.1
