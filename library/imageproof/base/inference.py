"""Ask the ONNX model of a training: raw images in, class probabilities out; no TensorFlow."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from os import devnull
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from imageproof.base.dataset import Images, Predict, Shape
from imageproof.base.errors import DataError
from imageproof.base.files import reading_as

if TYPE_CHECKING:
    from onnxruntime import InferenceSession

# Names of tensors in the file; `features`, the last hidden layer, are no output, and optional;
# `class` is an output of a logged model.
IMAGES, PROBABILITIES, FEATURES, CLASS = "images", "probabilities", "features", "class"
# Values of 50 images stay in the processor's cache, and threads that take a batch each wait less
# than threads that share every operation: twice the images per second.
BATCH = 50
EXTERNAL_FOLDER = "session.model_external_initializers_file_folder_path"
MAX_BYTES = 500_000_000  # of a model's file; ours have up to 5 MB

Features = NDArray[np.float32]  # (n, k), the last hidden layer


class Network(NamedTuple):
    """A loaded model: `predict` takes raw images uint8 (n, *shape)."""

    shape: Shape
    classes: int
    predict: Predict


def load(path: Path, *, threads: int) -> Network:
    """Read the ONNX file of a classifier of images; it answers with `threads` threads."""
    session = _session(path, _content(path))
    answers = [each for each in session.get_outputs() if each.name != CLASS]
    match [(each.name, each.type, each.shape[1:]) for each in [*session.get_inputs(), *answers]]:
        case [
            ("images", "tensor(uint8)", [int(), int()] | [int(), int(), 3] as shape),
            ("probabilities", "tensor(float)", [int(classes)]),
        ]:
            predict = partial(_in_batches, session, PROBABILITIES, threads)
            return Network((*shape,), classes, predict)
        case found:
            raise DataError(
                f"{path}: is from and to {found}; a classifier has one input {IMAGES} uint8 "
                f"(n, height, width) or (n, height, width, 3), and one output {PROBABILITIES} "
                "float32 (n, classes)"
            )


def load_features(path: Path, *, threads: int) -> Callable[[Images], Features] | None:
    """A function from raw images uint8 (n, *shape) to `features`; None if it has none."""
    import onnx

    with reading_as("ONNX model", path):
        model = onnx.load_model_from_string(_content(path))
    nodes = model.graph.node
    if nodes and not any(FEATURES in node.output for node in nodes):
        return None
    layer = onnx.helper.make_tensor_value_info(FEATURES, onnx.TensorProto.FLOAT, None)
    model.graph.output.append(layer)
    return partial(_in_batches, _session(path, model.SerializeToString()), FEATURES, threads)


def _content(path: Path) -> bytes:
    with reading_as("ONNX model", path):
        if (size := path.stat().st_size) > MAX_BYTES:
            raise DataError(f"{path}: has {size:,} bytes; at most {MAX_BYTES:,} are allowed")
        return path.read_bytes()


def _session(path: Path, content: bytes) -> "InferenceSession":
    import onnxruntime  # by now the process has switched its telemetry off

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1  # see BATCH
    options.log_severity_level = 4  # its C++ part prints what the exception says, too
    # the file holds all its weights; without this it could name files of the current folder
    options.add_session_config_entry(EXTERNAL_FOLDER, devnull)
    with reading_as("ONNX model", path):
        return onnxruntime.InferenceSession(content, options, ["CPUExecutionProvider"])


def _in_batches(
    session: "InferenceSession", output: str, threads: int, images: Images
) -> NDArray[np.float32]:
    def answer(start: int) -> NDArray[np.float32]:
        values: NDArray[np.float32]
        [values] = session.run([output], {IMAGES: images[start : start + BATCH]})
        return values

    if len(images) <= BATCH:
        return answer(0)
    with ThreadPoolExecutor(threads) as pool:  # `run` lets other threads work meanwhile
        return np.concatenate(list(pool.map(answer, range(0, len(images), BATCH))))
