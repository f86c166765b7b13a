"""The body of a request as images: arrays in JSON, raw bytes, or a picture."""

from io import BytesIO
from itertools import chain
from math import prod
from typing import Any, NamedTuple

import numpy as np
import orjson
from starlette.exceptions import HTTPException

from digits.core.dataset import Images, Picture
from digits.core.errors import DataError
from digits.scoring.pictures import convert_picture, decode_picture

MAX_BODY = 5_000_000  # bytes of one request; as JSON they fill 30 times the memory
MAX_IMAGES = 1000  # of one request
JSON, RAW, PICTURES = "application/json", "application/octet-stream", ("image/png", "image/jpeg")
QUICK = 50_000  # bytes of JSON or pixels; reading more takes longer than a prediction


class Reader(NamedTuple):
    """Reads images of this shape (height, width); pictures are treated this way."""

    shape: tuple[int, int]
    picture: Picture

    def read(self, kind: str, body: bytes) -> tuple[Images, list[str]]:
        """The images uint8 (n, height, width) in a body of this Content-Type.

        Returns:
            The images, and of a picture how it became one (`pictures.TREATMENTS`).

        Raises:
            HTTPException: 4xx with one sentence that says what is wrong and what is allowed.
        """
        if kind == JSON:
            return self._json(body), []
        if kind == RAW:
            return self._raw(body), []
        if kind in PICTURES:
            return self._picture(body)
        allowed = ", ".join((JSON, RAW, *PICTURES))
        raise HTTPException(415, f"Content-Type: {kind[:80]!r}; allowed are {allowed}")

    def is_quick(self, kind: str, body: bytes) -> bool:
        """Whether it is read in less time than a prediction takes."""
        return kind not in PICTURES and len(body) <= QUICK

    def _json(self, body: bytes) -> Images:
        try:
            content = orjson.loads(body)
        except ValueError as error:
            raise HTTPException(400, f"not JSON: {error}") from None
        match content:
            case {"inputs": images} | {"instances": images} if len(content) == 1:
                if isinstance(images, dict) and [*images] == ["images"]:
                    images = images["images"]  # by the input's name, as MLflow allows
                return self._array(images, has_truth=b"true" in body or b"false" in body)
        raise HTTPException(422, 'not a request; {"inputs": [[[0, …], …], …]} is allowed')

    def _array(self, images: Any, *, has_truth: bool) -> Images:
        height, width = self.shape
        rows = _nested(images, height)
        pixels = rows and _nested(rows, width)
        if not pixels:
            sizes = f"each {height} lists of {width} grey values"
            raise HTTPException(422, f"at least one image is needed, {sizes}")
        _limit(len(images))
        try:
            values = b"" if has_truth else bytes(pixels)  # seven times as fast as NumPy
        except (TypeError, ValueError, OverflowError):
            values = b""
        if not values:  # `bytes` would take truth values as 0 and 1
            raise HTTPException(422, "a pixel is none of the whole numbers from 0 to 255")
        return np.frombuffer(values, np.uint8).reshape(-1, height, width)

    def _raw(self, body: bytes) -> Images:
        size = prod(self.shape)
        if not body or len(body) % size:
            raise HTTPException(422, f"{len(body)} bytes; {size} are needed for each image")
        _limit(len(body) // size)
        return np.frombuffer(body, np.uint8).reshape(-1, *self.shape)

    def _picture(self, body: bytes) -> tuple[Images, list[str]]:
        try:
            decoded = decode_picture(BytesIO(body))
            image = convert_picture(decoded.image, shape=self.shape, picture=self.picture)
        except DataError as error:
            raise HTTPException(422, str(error)) from None
        return image.image[np.newaxis], [image.treatment]


def _limit(count: int) -> None:
    if count > MAX_IMAGES:
        raise HTTPException(413, f"{count:,} images; at most {MAX_IMAGES:,} a request are allowed")


def _nested(values: Any, length: int) -> list[Any] | None:
    """The elements of a list of lists of this length, in a row; None if it is none."""
    if not isinstance(values, list) or {*map(type, values)} != {list}:
        return None
    return [*chain.from_iterable(values)] if {*map(len, values)} == {length} else None
