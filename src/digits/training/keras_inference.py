"""Load a `.keras` file and predict with Keras: in training, and for versions without ONNX."""

from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from digits.core.dataset import Images, Predict, Probabilities
from digits.core.errors import DataError
from digits.training.inference import Network

BATCH = 1000


def load(path: Path) -> keras.Model:
    """Read a `.keras` file in Keras's safe mode, which runs no code from the file.

    Raises:
        DataError: the file is missing or no Keras model.
    """
    try:
        return keras.saving.load_model(path, compile=False, safe_mode=True)
    except Exception as error:  # a damaged archive fails in whatever part of Keras it reaches
        first_line = (str(error).splitlines() or [type(error).__name__])[0]
        raise DataError(f"{path}: no Keras model ({first_line})") from None


def predictor(model: keras.Model) -> Predict:
    """A function from raw images uint8 (n, height, width), n ≥ 0, to float32 (n, classes).

    It runs one graph, traced once, on 1,000 images at a time. The results are those of Keras's
    `predict`, which sets up a data pipeline at every call: 40 ms for one image.
    """
    raw = tf.TensorSpec((None, *model.input_shape[1:]), tf.uint8)
    graph = tf.function(lambda images: model(images, training=False), input_signature=[raw])

    def predict(images: Images) -> Probabilities:
        starts = range(0, max(len(images), 1), BATCH)
        return np.concatenate([graph(images[start : start + BATCH]) for start in starts])

    return predict


def load_network(path: Path) -> Network:
    """The classifier of images in a `.keras` file, with the interface of one in an ONNX file.

    Raises:
        DataError: the file is missing, no Keras model, or no such classifier.
    """
    model = load(path)
    match getattr(model, "input_shape", None), getattr(model, "output_shape", None):
        case (None, int(height), int(width)), (None, int(classes)):
            return Network((height, width), classes, predictor(model))
        case takes, gives:
            raise DataError(f"{path}: takes {takes} and gives {gives}; no classifier of images")
