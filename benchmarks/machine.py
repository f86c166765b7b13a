"""The machine: processor and versions, its matrix product rate, and operations of a model."""

import platform
import time
from importlib.metadata import version
from pathlib import Path
from statistics import median
from typing import Any

from imageproof.base._machine import cpu

MATRIX = 2048
REPEATS = 7
PACKAGES = ("tensorflow", "keras", "onnxruntime", "mlflow", "dvc", "prefect", "numpy")


def describe(threads: int) -> dict[str, Any]:
    """Processor, threads and versions."""
    return {
        "processor": cpu(),
        "threads": threads,
        "python": platform.python_version(),
        **{package: version(package) for package in PACKAGES},
    }


def matrix_product_rate() -> float:
    """Float32 operations per second of a product of two MATRIX×MATRIX; the median."""
    import tensorflow as tf

    left, right = (tf.random.normal((MATRIX, MATRIX)) for _ in range(2))
    product = tf.function(lambda: left @ right)
    product()
    seconds = []
    for _ in range(REPEATS):
        start = time.perf_counter()
        product().numpy()
        seconds.append(time.perf_counter() - start)
    return 2 * MATRIX**3 / median(seconds)


def forward_operations(path: Path) -> int:
    """Float operations for one image, as TensorFlow's profiler counts them."""
    import keras
    import tensorflow as tf
    from tensorflow.python.framework.convert_to_constants import (
        convert_variables_to_constants_v2_as_graph,
    )

    model = keras.saving.load_model(path, compile=False)
    height, width = model.input_shape[1:]
    concrete = tf.function(lambda images: model(images, training=False)).get_concrete_function(
        tf.TensorSpec((1, height, width), tf.uint8)
    )
    graph = convert_variables_to_constants_v2_as_graph(concrete)[0].graph
    options = tf.compat.v1.profiler.ProfileOptionBuilder.float_operation()
    options = tf.compat.v1.profiler.ProfileOptionBuilder(options).with_empty_output().build()
    return int(tf.compat.v1.profiler.profile(graph, options=options).total_float_ops)
