"""The devices that train: which they are, how they share a batch, and in what precision."""

from functools import cache
from typing import Any

import tensorflow as tf

from imageproof.base._machine import has_fast_bfloat16

BFLOAT16_FROM = (8, 0)  # CUDA's compute capability of the first GPUs with bfloat16: Ampere


@cache  # a second one in a process would mix up its sums with those of the first
def strategy(distribute: str) -> tf.distribute.Strategy:
    """How a training shares its batches: with `mirrored` between all GPUs, or logical CPUs."""
    list_devices = tf.config.list_logical_devices
    devices = list_devices("GPU") or list_devices("CPU")
    if distribute == "none" or len(devices) == 1:
        return tf.distribute.get_strategy()
    tf.get_logger().setLevel("ERROR")  # it says that CPUs have no NCCL
    return tf.distribute.MirroredStrategy()


def policy(*, mixed: bool) -> str:
    """Keras's policy: bfloat16 if `mixed` and it is faster on every GPU, or the CPU; or float32."""
    gpus = _gpus()
    capabilities = [gpu.get("compute_capability", (0, 0)) for gpu in gpus]
    is_faster = min(capabilities) >= BFLOAT16_FROM if gpus else has_fast_bfloat16()
    return "mixed_bfloat16" if mixed and is_faster else "float32"


def used(distribute: str, *, mixed: bool) -> str:
    """The devices of a training and its precision, such as `2 × NVIDIA A100, bfloat16`."""
    count = strategy(distribute).num_replicas_in_sync
    names = [gpu.get("device_name") for gpu in _gpus()]
    device = names[0] if names else "CPU"
    if count > 1:
        device = f"{count} × {device}"
    precision = policy(mixed=mixed).removeprefix("mixed_")
    return f"{device}, {precision}"


def _gpus() -> list[dict[str, Any]]:
    gpus = tf.config.list_physical_devices("GPU")
    return [tf.config.experimental.get_device_details(gpu) for gpu in gpus]
