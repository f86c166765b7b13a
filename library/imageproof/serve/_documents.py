"""What the server says: its page, the description of its paths, and values as JSON."""

from collections.abc import Mapping
from html import escape
from importlib.resources import files
from string import Template
from typing import Any

import orjson
from starlette.responses import Response

from imageproof.base.files import template_file
from imageproof.serve._model import Description
from imageproof.system._bodies import MAX_BYTES

FOLDER = files("imageproof.serve")  # a wheel may be run as it is, packed
OPENAPI = FOLDER / "openapi.json"
OPTIONS = orjson.OPT_SERIALIZE_NUMPY | orjson.OPT_NAIVE_UTC | orjson.OPT_UTC_Z


def home_page(model: Description, server: str) -> str:
    values = {
        "title": model.title,
        "classes": ", ".join(f"\u2068{name}\u2069" for name in model.class_names),
        "size": "{}×{}".format(*model.shape),
        "pixel": "a grey value" if len(model.shape) == 2 else "red, green and blue, each",
        "coverage": f"{100 * model.confidence.coverage:g}",
        "sha256": model.model_sha256,
        "most": f"{MAX_BYTES:,}",
        "server": server,
    }
    page = Template(template_file(FOLDER / "home.html").read_text("utf-8"))
    return page.substitute({name: escape(value) for name, value in values.items()})


def answer(
    content: Any,
    status: int = 200,
    headers: Mapping[str, str] | None = None,
) -> Response:
    """A response in JSON; arrays become lists, a float32 the shortest text that gives it back."""
    return Response(orjson.dumps(content, option=OPTIONS), status, headers, "application/json")
