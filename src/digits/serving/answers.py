"""Answers as JSON."""

from collections.abc import Mapping
from typing import Any

import orjson
from starlette.responses import Response

_OPTIONS = orjson.OPT_SERIALIZE_NUMPY | orjson.OPT_NAIVE_UTC | orjson.OPT_UTC_Z


def answer(content: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """JSON; NumPy's arrays become lists, each float32 with the digits that tell it from others."""
    body = orjson.dumps(content, option=_OPTIONS)
    return Response(body, status, headers, "application/json")


def refusal(status: int, sentence: str, headers: Mapping[str, str] | None = None) -> Response:
    """One sentence that says what is wrong, as `error`."""
    return answer({"error": sentence}, status, headers)
