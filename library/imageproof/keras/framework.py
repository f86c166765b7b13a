"""TensorFlow's start, and the seed of what Keras draws."""

import logging
import os
import random

from imageproof.system._process import quiet_tensorflow


def load_tensorflow(threads: int, distribute: str, *, mixed: bool) -> str:
    """Load it without its lines; the devices that it trains on, see `devices.used`."""
    os.environ["KERAS_BACKEND"] = "tensorflow"
    with quiet_tensorflow(threads):
        from keras import config

        from imageproof.keras import devices
    # ~/.keras/keras.json may say otherwise, and no run would tell
    config.set_floatx("float32")
    config.set_epsilon(1e-7)
    config.set_image_data_format("channels_last")
    logging.getLogger("tensorflow").setLevel(logging.ERROR)  # it warns of each training's graph
    return devices.used(distribute, mixed=mixed)


def set_seed(seed: int) -> None:
    """Let all that Keras draws follow from the seed alone.

    Keras draws the seed of each layer from Python's own generator, from which other threads of the
    process draw, too, such as those that log: so it gets a generator of its own.
    """
    import keras
    from keras.src.random import seed_generator

    keras.utils.set_random_seed(seed)
    seed_generator.python_random = random.Random(seed)
