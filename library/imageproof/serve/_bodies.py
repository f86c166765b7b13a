"""The body of a request as images: arrays in JSON, raw bytes, or a picture."""

from collections.abc import Sequence
from io import BytesIO
from itertools import chain
from math import prod
from typing import Any

import numpy as np
import orjson
from starlette.exceptions import HTTPException

from imageproof.base._dataset import Images, Shape
from imageproof.base.errors import DataError
from imageproof.pictures._reading import FORMATS, read_picture
from imageproof.serve._model import Description

MAX_BODY = 5_000_000  # bytes of a request without a picture; as JSON they fill 30 times the memory
MAX_IMAGES = 1000  # of one request
OTHER_PARTS = 200  # lists, objects and texts beside the images
JSON = "application/json"
RAW = "application/octet-stream"
PICTURES = tuple(f"image/{name.lower()}" for name in FORMATS)


def read(kind: str, model: Description, body: bytes) -> tuple[list[str], Images]:
    """A picture's treatment, and the images in a body of this Content-Type; or HTTPException."""
    shape = model.shape
    if kind == JSON:
        return [], _arrays(body, shape)
    if kind == RAW:
        if not body or len(body) % prod(shape):
            raise HTTPException(422, f"{len(body)} bytes; {prod(shape)} are needed for each image")
        return [], np.frombuffer(body, np.uint8).reshape(-1, *shape)
    if kind in PICTURES:
        try:
            image, treatment = read_picture(BytesIO(body), shape=shape, fit=model.fit)
        except DataError as error:
            raise HTTPException(422, str(error)) from None
        return [treatment], image[np.newaxis]
    allowed = ", ".join((JSON, RAW, *PICTURES))
    raise HTTPException(415, f"Content-Type: {kind[:80]!r}; allowed are {allowed}")


def _arrays(body: bytes, shape: Shape) -> Images:
    sizes = f"each image {' lists of '.join(map(str, shape))} whole numbers from 0 to 255"
    refusal = HTTPException(422, f'{{"inputs": [image, …]}} is allowed, {sizes}')
    content = parse(body, shape, refusal)
    images = pixels(content.get("inputs") if isinstance(content, dict) else None, shape)
    if images is None:
        raise refusal
    return images


def parse(body: bytes, shape: Shape, refusal: HTTPException) -> Any:
    """The JSON in a body; the refusal if it has more lists and texts than images need."""
    # a million empty lists or texts would take 60 MB; a pixel and what follows it are two bytes
    images = min(2 * MAX_IMAGES, len(body) // (2 * prod(shape)) + 1)
    lists = sum(prod(shape[:depth]) for depth in range(len(shape)))  # of one image
    if sum(map(body.count, (b"[", b"{", b'"'))) > images * lists + OTHER_PARTS:
        raise refusal
    try:
        return orjson.loads(body)
    except ValueError as error:
        raise HTTPException(400, f"not JSON: {error}") from None


def pixels(parts: Any, shape: Sequence[int]) -> Images | None:
    """Nested lists as images of this shape; None if they are no whole numbers from 0 to 255."""
    # NumPy would make a table as wide as the longest text
    if not (isinstance(parts, list) and parts):
        return None
    numbers = parts
    for side in shape:
        if not all(isinstance(part, list) and len(part) == side for part in numbers):
            return None
        numbers = [*chain.from_iterable(numbers)]
    if {*map(type, numbers)} != {int}:
        return None
    try:
        content = bytes(numbers)
    except ValueError:  # one is below 0 or over 255
        return None
    return np.frombuffer(content, np.uint8).reshape(-1, *shape)
