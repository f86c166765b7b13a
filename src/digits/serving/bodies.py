"""The body of a request as images: arrays in JSON, raw bytes, and pictures."""

from base64 import b64decode
from collections.abc import Sequence
from contextlib import suppress
from io import BytesIO
from itertools import chain
from math import prod
from typing import Any, NamedTuple

import numpy as np
import orjson
from starlette.exceptions import HTTPException

from digits.core.dataset import Images as Pixels
from digits.core.dataset import Picture
from digits.core.errors import DataError
from digits.scoring.pictures import MAX_MEGAPIXELS, convert_picture, decode_picture
from digits.serving.limits import MAX_BODY, MAX_IMAGES

JSON, RAW, PICTURES = "application/json", "application/octet-stream", ("image/png", "image/jpeg")
ARRAYS = ("inputs", "instances")  # as MLflow calls them
SHORT = 50_000  # bytes

FORMS = '{"inputs": [[[0, …], …], …]} or {"pictures": ["BASE64", …]} is allowed'


class Images(NamedTuple):
    """Pixels uint8 (n, height, width); of pictures how each became them (`pictures.TREATMENTS`)."""

    pixels: Pixels
    treatments: Sequence[str] = ()


class Form(NamedTuple):
    """What a model takes: images of this shape (height, width), pictures treated this way."""

    shape: tuple[int, int]
    picture: Picture

    def read(self, kind: str, body: bytes) -> Images:
        """The images in a body of this Content-Type.

        Raises:
            HTTPException: 4xx with one sentence that says what is wrong and what is allowed.
        """
        if kind == JSON:
            return self._json(body)
        if kind == RAW:
            return self._raw(body)
        if kind in PICTURES:
            return self._pictures([("", body)])
        allowed = ", ".join((JSON, RAW, *PICTURES))
        raise HTTPException(415, f"Content-Type: {kind[:80]!r}; allowed are {allowed}")

    def is_quick(self, kind: str, body: bytes | bytearray) -> bool:
        """Whether it is read in less time than a prediction takes."""
        # a picture in JSON may unpack to much; its key may be written with an escape
        has_pictures = kind in PICTURES or b"pictures" in body or b"\\" in body
        return not has_pictures and len(body) <= SHORT

    def _json(self, body: bytes) -> Images:
        try:
            content = orjson.loads(body)
        except ValueError as error:
            raise HTTPException(400, f"not JSON: {error}") from None
        one = isinstance(content, dict) and len(content) == 1
        key, value = next(iter(content.items())) if one else ("", None)
        if key == "pictures":
            return self._pictures(_decoded(value))
        if key not in ARRAYS:
            raise HTTPException(422, f"not a request; {FORMS}")
        if isinstance(value, dict) and [*value] == ["images"]:
            key, value = f"{key}.images", value["images"]
        return Images(self._array(key, value, has_truth=b"true" in body or b"false" in body))

    def _array(self, key: str, images: Any, *, has_truth: bool) -> Pixels:
        """Nested lists as uint8 (n, height, width); truth values may be among the pixels.

        Types, lengths and values are checked by C code of Python's own: NumPy would convert text
        and truth values to numbers.
        """
        height, width = self.shape
        rows = _nested(images, height)
        pixels = rows and _nested(rows, width)
        if not pixels or not isinstance(images, list):
            raise HTTPException(
                422,
                f"{key}: at least one image is needed, each {height} lists of {width} grey values",
            )
        self._limit(len(images))
        try:
            values = _grey(pixels, has_truth=has_truth)
        except (TypeError, ValueError, OverflowError):
            raise HTTPException(422, f"{key}{_first_fault(pixels, self.shape)}") from None
        return np.frombuffer(values, np.uint8).reshape(-1, height, width)

    def _raw(self, body: bytes) -> Images:
        size = prod(self.shape)
        if not body or len(body) % size:
            height, width = self.shape
            raise HTTPException(
                422, f"{len(body)} bytes; {height}×{width} = {size} bytes are needed for each image"
            )
        self._limit(len(body) // size)
        return Images(np.frombuffer(body, np.uint8).reshape(-1, *self.shape))

    def _pictures(self, files: Sequence[tuple[str, bytes]]) -> Images:
        self._limit(len(files))
        converted, megapixels = [], float(MAX_MEGAPIXELS)
        for name, content in files:
            try:
                decoded = decode_picture(BytesIO(content), most=megapixels)
                image = convert_picture(decoded.image, shape=self.shape, picture=self.picture)
            except DataError as error:
                raise HTTPException(422, f"{name}{error}") from None
            converted.append(image)
            megapixels -= decoded.megapixels
        images, treatments = zip(*converted, strict=True)
        return Images(np.stack(images), treatments)

    def _limit(self, count: int) -> None:
        most = min(MAX_IMAGES, max(1, MAX_BODY // prod(self.shape)))  # of pictures to be scaled up
        if count > most:
            raise HTTPException(413, f"{count:,} images; at most {most:,} a request are allowed")


def _nested(values: Any, length: int) -> list[Any] | None:
    """The elements of a list of lists of this length, in a row; None if it is none."""
    if not isinstance(values, list) or {*map(type, values)} != {list}:
        return None
    return [*chain.from_iterable(values)] if {*map(len, values)} == {length} else None


def _grey(pixels: Sequence[Any], *, has_truth: bool) -> bytes:
    if not has_truth:  # `bytes` would take them as 0 and 1
        with suppress(TypeError):
            return bytes(pixels)
    return bytes(map(_whole, pixels))


def _whole(value: Any) -> int:
    if type(value) is int or (type(value) is float and value.is_integer()):
        return int(value)
    raise TypeError


def _first_fault(pixels: Sequence[Any], shape: tuple[int, int]) -> str:
    """Where the first pixel is that is no grey value, and what it is."""
    for position, value in enumerate(pixels):
        try:
            bytes([_whole(value)])
        except (TypeError, ValueError, OverflowError):
            place = "".join(f"[{i}]" for i in np.unravel_index(position, (len(pixels), *shape)))
            nested = isinstance(value, list | dict)
            found = "a list or object" if nested else orjson.dumps(value).decode()[:20]
            return f"{place}: {found}; whole numbers from 0 to 255 are allowed"
    raise AssertionError("each is a grey value")


def _decoded(texts: Any) -> list[tuple[str, bytes]]:
    """Names and contents of pictures in base64."""
    if not texts or not isinstance(texts, list) or {*map(type, texts)} != {str}:
        raise HTTPException(422, "pictures: a list of PNG or JPEG in base64 is needed")
    try:
        contents = [b64decode(text, validate=True) for text in texts]
    except ValueError:
        raise HTTPException(422, "pictures: not base64") from None
    return [(f"pictures[{position}]: ", content) for position, content in enumerate(contents)]
