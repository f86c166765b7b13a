"""A backbone: an ONNX file that turns colour images into features, in one form.

`images` uint8 (n, side, side, 3) with values 0…255 → `features` float32 (n, k); what scales the
values is part of the graph. The command `backbone` brings another network into this form.
"""

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import onnx
from onnx import ModelProto, TensorProto

from imageproof.base import _inference
from imageproof.base._dataset import Images
from imageproof.base._inference import FEATURES, IMAGES, Features, open_session, read_content
from imageproof.base.errors import DataError
from imageproof.base.files import parsing
from imageproof.base.text import one_line

FOLDER = Path("backbones")
OPSET = 18  # the first whose Resize has `antialias`
MAX_SIDE = 1024  # pixels
STANDARD = {"", "ai.onnx"}  # both name the domain of ONNX's own operators


class Backbone(NamedTuple):
    """A backbone that was read and checked; it takes images of side × side pixels."""

    model: ModelProto
    side: int


def backbone_path(name: str) -> Path:
    return FOLDER / f"{name}.onnx"


def load_backbone(name: str, sha256: str) -> Backbone:
    """Read `backbones/NAME.onnx`; a DataError if it is missing, or of another hash or form."""
    path = backbone_path(name)
    if not path.exists():
        raise DataError(f"{path}: not found; `dvc pull {path}` fetches it")
    content = read_content(path)
    digest = hashlib.sha256(content).hexdigest()
    if digest != sha256:
        raise DataError(
            f"{path}: has the SHA-256 {digest}, the params {sha256}; `dvc checkout {path}` brings "
            "the recorded file, or set the params to this one"
        )
    model = parse_network(content, path)
    return Backbone(model, check_form(model, path))


def parse_network(content: bytes, path: Path) -> ModelProto:
    """An ONNX model with all its weights; a DataError if it is damaged, or has operators or
    weights from elsewhere.
    """
    with parsing("ONNX model", path):
        model = onnx.load_model_from_string(content)
        tensors = model.graph.initializer
        if any(tensor.data_location == TensorProto.EXTERNAL for tensor in tensors):
            hint = "`onnx.save(model, path, save_as_external_data=False)` puts them into it"
            raise DataError(f"{path}: has weights in other files; {hint}")
        foreign = {node.domain for node in model.graph.node} - STANDARD
        if foreign or model.functions:
            domains = ", ".join(sorted(foreign)) or "functions of its own"
            raise DataError(f"{path}: has operators of {domains}; only ONNX's own are allowed")
        onnx.checker.check_model(model)
        standard = [opset for opset in model.opset_import if opset.domain in STANDARD]
        del model.opset_import[:]
        model.opset_import.extend(standard)
    return model


def check_form(model: ModelProto, path: Path) -> int:
    """The side of the images that this backbone takes; a DataError if it is no backbone."""
    session = open_session(path, model.SerializeToString())
    ends = [*session.get_inputs(), *session.get_outputs()]
    match [(end.name, end.type, end.shape) for end in ends]:
        case [
            (_inference.IMAGES, "tensor(uint8)", [str() | None, int(side), int(width), 3]),
            (_inference.FEATURES, "tensor(float)", [str() | None, int()]),
        ] if side == width <= MAX_SIDE:
            check_answers(model, path, side)
            return side
        case form:
            raise DataError(
                f"{path}: is from and to {form}; a backbone has one input {IMAGES} uint8 "
                f"(n, side, side, 3), and one output {FEATURES} float32 (n, k), with n free; the "
                "command `backbone` brings another network into this form"
            )


def check_answers(model: ModelProto, path: Path, side: int) -> None:
    """A DataError if features are not finite, or an image's depend on the images beside it."""
    ask = extractor(model, path)
    rows = np.random.default_rng(0).integers(256, size=(3, side, side, 3), dtype=np.uint8)
    rows[1] = 0
    rows[2] = 255
    batch = ask(rows)
    single = np.concatenate([ask(row) for row in np.split(rows, len(rows))])
    if not np.isfinite(batch).all():
        raise DataError(f"{path}: its features of black, white or random pixels are not finite")
    if batch.shape != single.shape or not np.allclose(batch, single, rtol=1e-4, atol=1e-4):
        raise DataError(f"{path}: an image gets other features alone than in a batch")


def extractor(model: ModelProto, path: Path) -> Callable[[Images], Features]:
    """Asks a graph of `features`, uint8 (n, *shape) to float32 (n, k), all at once; a DataError
    if it fails.
    """
    session = open_session(path, model.SerializeToString())

    def extract(images: Images) -> Features:
        try:
            [features] = session.run([FEATURES], {IMAGES: images})
        except Exception as error:  # of ONNX Runtime, as for a fixed batch
            raise DataError(f"{path}: gives no features ({one_line(error, width=200)})") from None
        return np.asarray(features)

    return extract
