"""The Open Inference Protocol, version 2: its tensors as images, and answers as its tensors.

The protocol and its extension for binary tensors: https://kserve.github.io/website/docs/concepts/
architecture/data-plane/v2-protocol. The input is `images`; OUTPUTS has the types of the outputs.
"""

import re
from importlib.metadata import version
from math import prod
from typing import Annotated, Any, Literal, NamedTuple

import numpy as np
import orjson
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response

from imageproof.base._dataset import Images
from imageproof.base._inference import IMAGES, PROBABILITIES
from imageproof.base.files import first_fault
from imageproof.base.text import one_line
from imageproof.serve._bodies import JSON, MAX_IMAGES, RAW, parse, pixels
from imageproof.serve._model import Answers, Description

Column = np.ndarray | list[str]

HEADER = "Inference-Header-Content-Length"  # bytes of JSON, before those of tensors
TIME = "at"  # an output of a server that logs
OUTPUTS = {
    PROBABILITIES: "FP32",
    "predicted": "BYTES",
    "answers": "BOOL",
    "unsure": "BOOL",
    TIME: "BYTES",
}
MATRICES = PROBABILITIES, "answers"  # a column per class


class _Part(BaseModel):
    model_config = ConfigDict(strict=True)

    parameters: dict[str, Any] = {}


class _Input(_Part):
    name: Literal["images"]
    shape: list[int]
    datatype: Literal["UINT8"]
    data: list[Any] = []


class _Output(_Part):
    name: str


class Inference(_Part):
    """A request; what a client sends beyond these fields is for other servers."""

    id: str = ""
    inputs: Annotated[list[_Input], Field(min_length=1, max_length=1)]
    outputs: list[_Output] = []


def server_metadata() -> dict[str, Any]:
    name = "imageproof"
    return {"name": name, "version": version(name), "extensions": ["binary_tensor_data"]}


class Tensors(NamedTuple):
    """The tensors of a model, whose server may log."""

    description: Description
    logs: bool

    def metadata(self) -> dict[str, Any]:
        outputs = [{"name": name, **self._form(name, -1)} for name in self.names()]
        shape = [-1, *self.description.shape]
        return {
            "name": self.description.name,
            "versions": [self.description.version],
            "platform": "onnxruntime_onnx",
            "inputs": [{"name": IMAGES, "datatype": "UINT8", "shape": shape}],
            "outputs": outputs,
        }

    def names(self) -> list[str]:
        """The names of the outputs."""
        return [name for name in OUTPUTS if self.logs or name != TIME]

    def _form(self, name: str, rows: int) -> dict[str, Any]:
        columns = [len(self.description.class_names)] if name in MATRICES else []
        return {"datatype": OUTPUTS[name], "shape": [rows, *columns]}

    def read(self, body: bytes, header: str | None) -> tuple[Inference, Images]:
        """The request in a body, and its images; `header` is the value of HEADER, or None."""
        size = len(body)
        if header is not None:
            size = int(header) if re.fullmatch("[0-9]{1,8}", header) else 0
            if not 0 < size <= len(body):
                raise _refusal(HEADER, header, f"1…{len(body)}, the bytes of the JSON, is allowed")
        refusal = _refusal("the body", "too many lists and texts", "one request is allowed")
        content = parse(body[:size], self.description.shape, refusal)
        try:
            request = Inference.model_validate(content)
        except ValidationError as error:
            raise HTTPException(400, first_fault(error)) from None
        self._check(request)
        return request, _images(request.inputs[0], body[size:])

    def _check(self, request: Inference) -> None:
        [tensor] = request.inputs
        rows, *sides = tensor.shape or [0]
        if rows < 1 or sides != [*self.description.shape]:
            sizes = ", ".join(map(str, self.description.shape))
            allowed = f"[1…{MAX_IMAGES:,}, {sizes}] is allowed"
            raise _refusal("inputs.0.shape", tensor.shape, allowed)
        names = self.names()
        for n, output in enumerate(request.outputs):
            if output.name not in names:
                raise _refusal(f"outputs.{n}.name", output.name, f"there are {', '.join(names)}")

    def answer(
        self,
        request: Inference,
        answers: Answers,
        times: np.ndarray,
    ) -> Response:
        """The outputs that the request names, or all; `times` are the keys in the log, if any."""
        columns: dict[str, Column] = {
            PROBABILITIES: answers.probabilities,
            "predicted": answers.predicted,
            "answers": answers.sets,
            "unsure": answers.unsure,
            TIME: np.datetime_as_string(times, timezone="UTC").tolist(),
        }
        default = request.parameters.get("binary_data_output")
        parameters = {output.name: output.parameters for output in request.outputs}
        outputs: list[dict[str, Any]] = []
        tail = b""
        for name in parameters or self.names():
            column = columns[name]
            output = {"name": name, **self._form(name, len(answers.predicted))}
            if parameters.get(name, {}).get("binary_data", default) is True:
                content = _binary(column)
                output["parameters"] = {"binary_data_size": len(content)}
                tail += content
            else:
                output["data"] = column.ravel() if isinstance(column, np.ndarray) else column
            outputs.append(output)
        head = {
            "model_name": self.description.name,
            "model_version": self.description.version,
            "id": request.id,
            "outputs": outputs,
        }
        content = orjson.dumps(head, option=orjson.OPT_SERIALIZE_NUMPY)
        if not tail:
            return Response(content, media_type=JSON)
        return Response(content + tail, headers={HEADER: str(len(content))}, media_type=RAW)


def _images(tensor: _Input, tail: bytes) -> Images:
    """The images of a tensor whose shape is right; `tail` follows the JSON."""
    size = prod(tensor.shape)
    if "binary_data_size" in tensor.parameters:
        binary_size = tensor.parameters["binary_data_size"]
        if tensor.data or not binary_size == size == len(tail):
            allowed = f"{size}, so many bytes after the JSON, and no data is allowed"
            raise _refusal("inputs.0.parameters.binary_data_size", binary_size, allowed)
        return np.frombuffer(tail, np.uint8).reshape(tensor.shape)
    data = tensor.data
    is_nested = data != [] and isinstance(data[0], list)
    images = pixels(data, tensor.shape[1:]) if is_nested else pixels([data], [size])
    if tail or images is None or images.size != size:
        content = f"{size} whole numbers 0…255, flat or in lists as the shape says, are needed"
        raise _refusal("inputs.0.data", "other content", content)
    return images.reshape(tensor.shape)


def _binary(column: Column) -> bytes:
    """Little-endian, as these processors are; a text has its length before it."""
    if isinstance(column, np.ndarray):
        return column.tobytes()
    texts = [text.encode() for text in column]
    return b"".join(len(text).to_bytes(4, "little") + text for text in texts)


def _refusal(place: str, finding: object, allowed: str) -> HTTPException:
    return HTTPException(400, one_line(f"{place}: {one_line(finding)}; {allowed}", width=300))
