"""The devices that train: which they are, how they share a batch, and in what precision."""

from functools import cache
from typing import Any

import tensorflow as tf

from imageproof.base.machine import has_fast_bfloat16

BFLOAT16_FROM = (8, 0)  # CUDA's compute capability of the first GPUs with bfloat16: Ampere


@cache  # a second one in a process would mix up its sums with those of the first
def strategy(distribute: str) -> tf.distribute.Strategy:
    """How a training shares its batches: with `mirrored` between all GPUs, or logical CPUs."""
    devices = tf.config.list_logical_devices("GPU") or tf.config.list_logical_devices("CPU")
    if distribute == "none" or len(devices) == 1:
        return tf.distribute.get_strategy()
    tf.get_logger().setLevel("ERROR")  # it says that CPUs have no NCCL
    return tf.distribute.MirroredStrategy()


def policy(*, mixed: bool) -> str:
    """Keras's policy: bfloat16 if `mixed` and it is faster on every GPU, or the CPU; or float32."""
    capabilities = [each.get("compute_capability", (0, 0)) for each in _gpus()]
    on_gpus = min(capabilities, default=(0, 0)) >= BFLOAT16_FROM
    on_cpu = not capabilities and has_fast_bfloat16()
    return "mixed_bfloat16" if mixed and (on_gpus or on_cpu) else "float32"


def used(distribute: str, *, mixed: bool) -> str:
    """The devices of a training and its precision, such as `2 × NVIDIA A100, bfloat16`."""
    count = strategy(distribute).num_replicas_in_sync
    name = next((gpu.get("device_name") for gpu in _gpus()), "CPU")
    precision = policy(mixed=mixed).removeprefix("mixed_")
    return f"{f'{count} × ' * (count > 1)}{name}, {precision}"


def _gpus() -> list[dict[str, Any]]:
    gpus = tf.config.list_physical_devices("GPU")
    return [tf.config.experimental.get_device_details(gpu) for gpu in gpus]
