"""Ask the ONNX model of a training: raw images in, class probabilities out; no TensorFlow."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from os import devnull
from pathlib import Path
from statistics import median
from timeit import repeat
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from imageproof.base._dataset import Images, Predict, Probabilities, Shape
from imageproof.base.errors import AnswersError, DataError
from imageproof.base.files import check_size, parsing
from imageproof.base.text import one_line

if TYPE_CHECKING:
    from onnxruntime import InferenceSession

# Names of tensors in the file.
IMAGES = "images"
PROBABILITIES = "probabilities"
FEATURES = "features"  # the last hidden layer: no output, and optional
CLASS = "class"  # an output of a logged model
BACKBONE = "backbone"  # in the metadata of a file whose images go through a backbone: its name

# Values of 50 images stay in the processor's cache, and threads that take a batch each wait less
# than threads that share every operation: twice the images per second.
BATCH = 50
EXTERNAL_FOLDER = "session.model_external_initializers_file_folder_path"
ASKED = 200  # images, which `inconsistency` asks for in several ways
FEW_ASKED = 16
SLOW_S = 0.002  # a network that takes longer for an image is asked for fewer
TOLERANCE = 1e-4  # of a probability: another batch may sum float32 in another order
SUM_TOLERANCE = 1e-3  # half precision rounds the sum of a row by that much
MAX_BYTES = 500_000_000  # of a model's file; ours have up to 5 MB

Features = NDArray[np.float32]  # (n, k), the last hidden layer


class Network(NamedTuple):
    """A loaded model: `predict` takes raw images uint8 (n, *shape), slowly if it has a backbone."""

    shape: Shape
    classes: int
    predict: Predict
    has_backbone: bool = False

    def ask(self, images: Images) -> Probabilities:
        """What `predict` answers; AnswersError if it fails, or answers no probabilities."""
        try:
            answers = self.predict(images)
        except Exception as error:  # of ONNX Runtime, as for want of memory
            reason = one_line(error, width=200)
            raise AnswersError(f"gives no answer ({reason})") from None
        if answers.shape != (len(images), self.classes):
            raise AnswersError(f"{len(images):,} images get answers of the shape {answers.shape}")
        if finding := not_probabilities(answers):
            raise AnswersError(finding)
        return answers


def affordable(
    predict: Callable[[Images], object],
    images: Images,
    many: int,
    few: int,
) -> int:
    """How many images to ask for: `few` if one takes over 2 ms, otherwise `many`."""
    seconds = repeat(partial(predict, images[:1]), number=1, repeat=5)
    return few if median(seconds) > SLOW_S else many


def load(
    path: Path,
    *,
    threads: int,
    batch: int | None = None,
) -> Network:
    """Read the ONNX file of a classifier of images; it answers with `threads` threads.

    It is asked for at most `batch` images at once; without a number as many as are fast: with a
    backbone, whose values of one image fill the processor's cache, one.
    """
    session = open_session(path, read_content(path))
    inputs = session.get_inputs()
    outputs = [output for output in session.get_outputs() if output.name != CLASS]
    match [(tensor.name, tensor.type, tensor.shape[1:]) for tensor in [*inputs, *outputs]]:
        case [
            ("images", "tensor(uint8)", [int(), int()] | [int(), int(), 3] as shape),
            ("probabilities", "tensor(float)", [int(classes)]),
        ]:
            predict = _asking(session, PROBABILITIES, threads, batch)
            return Network((*shape,), classes, predict, _has_backbone(session))
        case tensors:
            raise DataError(
                f"{path}: is from and to {tensors}; a classifier has one input {IMAGES} uint8 "
                f"(n, height, width) or (n, height, width, 3), and one output {PROBABILITIES} "
                "float32 (n, classes)"
            )


def load_features(path: Path, *, threads: int) -> Callable[[Images], Features] | None:
    """A function from raw images uint8 (n, *shape) to `features`; None if it has none."""
    import onnx

    with parsing("ONNX model", path):
        model = onnx.load_model_from_string(read_content(path))
    nodes = model.graph.node
    if nodes and not any(FEATURES in node.output for node in nodes):
        return None
    layer = onnx.helper.make_tensor_value_info(FEATURES, onnx.TensorProto.FLOAT, None)
    model.graph.output.append(layer)
    return _asking(open_session(path, model.SerializeToString()), FEATURES, threads)


def inconsistency(path: Path, images: Images) -> tuple[str, int]:
    """Why one cannot rely on the answers of an ONNX file, empty if one can; and how many images
    it was asked for.

    Alone, in fives and in one batch, 200 of the `images`, uint8 (n, *shape), or 16 if one takes
    over 2 ms, must get the same answers. Black, white and random pixels must get probabilities.
    """
    network = load(path, threads=1, batch=ASKED)
    count = ASKED
    with suppress(AnswersError):  # the same question is asked below, and its way is named
        count = affordable(network.ask, images, ASKED, FEW_ASKED)
    count = min(count, len(images))
    rows = images[np.linspace(0, len(images) - 1, count, dtype=int)]
    ways = {
        "asked in one batch again": [rows],
        "asked alone": np.split(rows, len(rows)),
        "asked in fives": np.split(rows, range(5, len(rows), 5)),
    }
    shape = (1, *network.shape)
    extremes = {
        "black": np.zeros(shape, np.uint8),
        "white": np.full(shape, 255, np.uint8),
        "random": np.random.default_rng(0).integers(256, size=shape, dtype=np.uint8),
    }
    try:
        expected = _ask(network, [rows], "asked in one batch")
        for way, batches in ways.items():
            if finding := _difference(_ask(network, batches, way), expected):
                return f"{way}: {finding}", count
        for pixels, image in extremes.items():
            _ask(network, [image], f"{pixels} pixels")
    except AnswersError as error:
        return str(error), count
    return "", count


def _ask(
    network: Network,
    batches: list[Images],
    way: str,
) -> Probabilities:
    try:
        return np.concatenate([network.ask(batch) for batch in batches])
    except AnswersError as error:
        raise AnswersError(f"{way}: {error}") from None


def _difference(answers: Probabilities, expected: Probabilities) -> str | None:
    differences = np.abs(answers - expected).max(axis=1)
    second, best = np.sort(expected, axis=1)[:, -2:].T
    changed = answers.argmax(axis=1) != expected.argmax(axis=1)
    changed &= best - second > TOLERANCE
    count = np.count_nonzero(changed | (differences > TOLERANCE))
    if count == 0:
        return None
    return (
        f"{count} of {len(expected)} images get other answers than in one batch; probabilities "
        f"differ by up to {differences.max():.2g}, at most {TOLERANCE:g} is allowed"
    )


def not_probabilities(answers: np.ndarray) -> str | None:
    """Why the rows of float (n, classes) are no probability distributions; None if they are."""
    with np.errstate(invalid="ignore"):  # infinite answers of both signs
        sums = answers.sum(axis=1, dtype=np.float64)
    valid = (answers >= 0).all(axis=1)
    valid &= np.abs(sums - 1) <= SUM_TOLERANCE
    if valid.all():
        return None
    row = int(np.argmin(valid))
    count = np.count_nonzero(~valid)
    span = f"{answers[row].min():g}…{answers[row].max():g}"
    example = f"row {row} has {span} and sums to {sums[row]:g}"
    return f"{count} of {len(valid)} answers are no probabilities ({example})"


def read_content(path: Path) -> bytes:
    """The bytes of a model's file; a DataError if it is missing or too large."""
    with parsing("ONNX model", path):
        check_size(path, MAX_BYTES)
        return path.read_bytes()


def open_session(path: Path, content: bytes) -> "InferenceSession":
    """A session of ONNX Runtime on one thread; `path` names the model in a DataError."""
    import onnxruntime  # by now the process has switched its telemetry off

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1  # see BATCH
    options.log_severity_level = 4  # its C++ part prints what the exception says, too
    # the file holds all its weights; without this it could name files of the current folder
    options.add_session_config_entry(EXTERNAL_FOLDER, devnull)
    with parsing("ONNX model", path):
        return onnxruntime.InferenceSession(content, options, ["CPUExecutionProvider"])


def _has_backbone(session: "InferenceSession") -> bool:
    return BACKBONE in session.get_modelmeta().custom_metadata_map


def _asking(
    session: "InferenceSession",
    output: str,
    threads: int,
    batch: int | None = None,
) -> Callable[[Images], NDArray[np.float32]]:
    """A function from images to this output, float32 (n, …); it asks for `batch` images at once.

    Without a number, for as many as are fast.
    """
    size = batch or (1 if _has_backbone(session) else BATCH)

    def answer(images: Images) -> NDArray[np.float32]:
        values: NDArray[np.float32]
        [values] = session.run([output], {IMAGES: images})
        return values

    def answer_in_batches(images: Images) -> NDArray[np.float32]:
        if len(images) <= size:
            return answer(images)
        batches = (images[start : start + size] for start in range(0, len(images), size))
        with ThreadPoolExecutor(threads) as pool:  # `run` lets other threads work meanwhile
            return np.concatenate([*pool.map(answer, batches)])

    return answer_in_batches
