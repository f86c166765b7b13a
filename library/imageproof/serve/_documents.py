"""What the server says of itself: its page, and the description of its paths."""

from html import escape
from importlib.resources import files
from string import Template

from imageproof.base.files import template_file
from imageproof.serve._bodies import MAX_BODY
from imageproof.serve._model import Description

FOLDER = files("imageproof.serve")  # a wheel may be run as it is, packed
OPENAPI = FOLDER / "openapi.json"


def home_page(model: Description, server: str) -> str:
    values = {
        "title": model.title,
        "classes": ", ".join(model.class_names),
        "size": "{}×{}".format(*model.shape),
        "pixel": "a grey value" if len(model.shape) == 2 else "red, green and blue, each",
        "coverage": f"{100 * model.confidence.coverage:g}",
        "sha256": model.model_sha256,
        "most": f"{MAX_BODY:,}",
        "server": server,
    }
    page = Template(template_file(FOLDER / "home.html").read_text("utf-8"))
    return page.substitute({name: escape(value) for name, value in values.items()})
