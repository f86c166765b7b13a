"""The devices that train: which they are, how they share a batch, and in what precision."""

import os
from functools import cache

import tensorflow as tf

from digits.core.machine import cpu_features
from digits.training.recipe import Distribute

BFLOAT16 = {"amx_bf16", "avx512_bf16"}
BFLOAT16_FROM = (8, 0)  # CUDA's compute capability of the first GPUs with bfloat16: Ampere


def strategy(distribute: Distribute) -> tf.distribute.MirroredStrategy | None:
    """Between which devices a training shares its batches; None: it has one device.

    `mirrored` takes all GPUs, or TensorFlow's logical CPUs where there is no GPU.
    """
    if distribute == "none":
        return None
    if _count() == 1:
        print("train.distribute: mirrored: there is one device; it trains as with `none`")
        return None
    return _mirrored()


@cache  # a second one would use the names of the first for other sums
def _mirrored() -> tf.distribute.MirroredStrategy:
    tf.get_logger().setLevel("ERROR")  # it says that CPUs have no NCCL
    return tf.distribute.MirroredStrategy()


def mixed_policy() -> str:
    """Keras's policy for mixed precision here: in bfloat16, or float32 where that would be slower.

    Every GPU must have bfloat16, or the CPU where there is no GPU; see `has_bfloat16`. (float16
    would need its loss scaled.)
    """
    gpus = tf.config.list_physical_devices("GPU")
    details = [tf.config.experimental.get_device_details(gpu) for gpu in gpus]
    capable = [each.get("compute_capability", (0, 0)) >= BFLOAT16_FROM for each in details]
    allowed = not os.environ.get("DIGITS_NO_BFLOAT16")
    return "mixed_bfloat16" if allowed and (all(capable) if gpus else has_bfloat16()) else "float32"


def has_bfloat16() -> bool:
    """Whether this CPU has instructions for bfloat16; without them mixed precision is slower.

    False where DIGITS_NO_BFLOAT16 is set or the system does not tell (Linux does).
    """
    return not BFLOAT16.isdisjoint(cpu_features())


def used(distribute: Distribute, *, mixed: bool) -> str:
    """The devices of a training and its precision, such as `2 × NVIDIA A100-SXM4-40GB, bfloat16`.

    A CPU is called `CPU`; runs have its name in another tag.
    """
    gpus = tf.config.list_physical_devices("GPU")
    names = [tf.config.experimental.get_device_details(gpu).get("device_name") for gpu in gpus]
    count = _count() if distribute == "mirrored" else 1
    precision = mixed_policy().removeprefix("mixed_") if mixed else "float32"
    return f"{f'{count} × ' * (count > 1)}{names[0] if names else 'CPU'}, {precision}"


def _count() -> int:
    """How many GPUs, or CPUs if there is no GPU."""
    return len(tf.config.list_logical_devices("GPU") or tf.config.list_logical_devices("CPU"))
