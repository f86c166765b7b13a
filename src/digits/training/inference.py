"""Ask the ONNX model of a training: raw images in, class probabilities out.

Neither TensorFlow nor Keras is needed: ONNX Runtime loads the file in 0.05 s.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from digits.core.dataset import Images, Probabilities
from digits.core.errors import DataError, one_line
from digits.core.files import require_file

# Names of tensors in the file; `features` are no output of the graph.
IMAGES, PROBABILITIES, FEATURES = "images", "probabilities", "features"
BATCH = 1000

Features = NDArray[np.float32]  # (n, k), the last hidden layer


@dataclass(frozen=True, eq=False, slots=True)
class Network:
    """A loaded model of images (height, width) in `shape`."""

    session: onnxruntime.InferenceSession
    shape: tuple[int, int]
    classes: int

    def predict(self, images: Images) -> Probabilities:
        """From raw images uint8 (n, height, width), n ≥ 0, to float32 (n, classes)."""
        return _in_batches(self.session, PROBABILITIES, images)


def load(path: Path, *, threads: int) -> Network:
    """Read the ONNX file of a classifier of images; it answers with `threads` threads.

    Raises:
        DataError: the file is missing or no such model.
    """
    session = _session(path, _content(path), threads)
    sides = [(each.name, each.type, each.shape[1:]) for each in _ends(session)]
    match sides:
        case [
            (str(images), "tensor(uint8)", [int(height), int(width)]),
            (str(probabilities), "tensor(float)", [int(classes)]),
        ] if (images, probabilities) == (IMAGES, PROBABILITIES):
            return Network(session, (height, width), classes)
    found = ", ".join(f"{name} {kind} {shape}" for name, kind, shape in sides)
    raise DataError(
        f"{path}: is from and to {found}; a classifier has one input {IMAGES} uint8 (n, height, "
        f"width) and one output {PROBABILITIES} float32 (n, classes)"
    )


def load_features(path: Path, *, threads: int) -> Callable[[Images], Features]:
    """A function from raw images uint8 (n, height, width) to the model's last hidden layer.

    Raises:
        DataError: the file is missing, no ONNX model, or names no such layer.
    """
    import onnx

    content = _content(path)
    try:
        model = onnx.load_model_from_string(content)
    except Exception as error:  # protobuf's own, and others
        raise DataError(f"{path}: no ONNX model ({one_line(error)})") from None
    layer = onnx.helper.make_tensor_value_info(FEATURES, onnx.TensorProto.FLOAT, None)
    model.graph.output.append(layer)
    session = _session(path, model.SerializeToString(), threads)
    return lambda images: _in_batches(session, FEATURES, images)


def _content(path: Path) -> bytes:
    require_file(path)
    try:
        return path.read_bytes()
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror}") from None


def _session(path: Path, content: bytes, threads: int) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 4  # its C++ part prints what the exception says, too
    try:
        return onnxruntime.InferenceSession(content, options, ["CPUExecutionProvider"])
    except Exception as error:  # each fault has a class of its own, below Exception
        raise DataError(f"{path}: no ONNX model ({one_line(error)})") from None


def _ends(session: onnxruntime.InferenceSession) -> list[onnxruntime.NodeArg]:
    return [*session.get_inputs(), *session.get_outputs()]


def _in_batches(
    session: onnxruntime.InferenceSession, output: str, images: Images
) -> NDArray[np.float32]:
    starts = range(0, max(len(images), 1), BATCH)
    batches = (images[start : start + BATCH] for start in starts)
    return np.concatenate([session.run([output], {IMAGES: batch})[0] for batch in batches])
