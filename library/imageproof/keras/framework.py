"""TensorFlow's start, and a network that is asked as soon as it is trained."""

import gc
import logging
import os
import random
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from imageproof.base import _inference
from imageproof.base._dataset import Dataset, Images, Probabilities
from imageproof.base.files import scratch
from imageproof.outputs import TrainOutputs
from imageproof.system._process import quiet_tensorflow

# `write(outputs, validation, threads=…)` calibrates and writes a fitted model: its temperature, and
# its probabilities of the validation rows.
Write = Callable[..., tuple[float, Probabilities]]

# Keras draws and wraps with them if it can, which takes their import of a second; we do not.
UNUSED = ("matplotlib", "sklearn")


def load_tensorflow(threads: int, distribute: str, *, mixed: bool) -> str:
    """Load it without its lines; the devices that it trains on, see `devices.used`."""
    os.environ["KERAS_BACKEND"] = "tensorflow"
    with quiet_tensorflow(threads), _lean_import():
        from keras import config

        from imageproof.keras import devices
    # ~/.keras/keras.json may say otherwise, and no run would tell
    config.set_floatx("float32")
    config.set_epsilon(1e-7)
    config.set_image_data_format("channels_last")
    logging.getLogger("tensorflow").setLevel(logging.ERROR)  # it warns of each training's graph
    return devices.used(distribute, mixed=mixed)


@contextmanager
def _lean_import() -> Iterator[None]:
    """Import Keras in this block without UNUSED; nothing that is imported becomes garbage."""
    absent = [name for name in UNUSED if name not in sys.modules]
    sys.modules.update(dict.fromkeys(absent))  # type: ignore[arg-type]
    gc.disable()
    try:
        yield
    finally:
        for name in absent:
            del sys.modules[name]
        gc.freeze()
        gc.enable()


def set_seed(seed: int) -> None:
    """Let all that Keras draws follow from the seed alone.

    Keras draws the seed of each layer from Python's own generator, from which other threads of the
    process draw, too, such as those that log: so it gets a generator of its own.
    """
    import keras
    from keras.src.random import seed_generator

    keras.utils.set_random_seed(seed)
    seed_generator.python_random = random.Random(seed)


def ask_fitted(
    write: Write,
    validation: Dataset,
    images: Images,
    *,
    threads: int,
) -> Probabilities:
    """What a fitted model answers to images when it is calibrated on the validation rows.

    `write` writes it, as ONNX Runtime is asked; float32 (n, classes).
    """
    with scratch() as folder:
        outputs = TrainOutputs(folder)
        write(outputs, validation, threads=threads)
        return _inference.load(outputs.model, threads=threads).predict(images)
