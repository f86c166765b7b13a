"""How a template becomes a page."""

from base64 import b64encode
from io import BytesIO
from typing import Any

import numpy as np
from jinja2 import ChoiceLoader, Environment, FileSystemLoader, PackageLoader, StrictUndefined
from PIL import Image

from imageproof.base._naming import project_name


def templates(package: str, **options: Any) -> Environment:
    """The templates of the project's folder `templates/`, of a package, and of this one.

    The first that has a name is taken. Text is escaped, an unknown name is an error.
    """
    packages = [PackageLoader(name, ".") for name in (package, __package__)]
    environment = Environment(
        loader=ChoiceLoader([FileSystemLoader("templates"), *packages]),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        **{"autoescape": True} | options,
    )
    environment.globals["command"] = project_name()
    environment.filters |= {"p_value": p_value, "data_uri": data_uri}
    return environment


def data_uri(picture: bytes | np.ndarray, form: str = "png") -> str:
    """A file of this form, or an image uint8 as one, as a page can carry it."""
    if not isinstance(picture, bytes):
        Image.fromarray(picture).save(content := BytesIO(), form, quality=85)
        picture = content.getvalue()
    return f"data:image/{form};base64,{b64encode(picture).decode()}"


def p_value(value: float) -> str:
    return "<0.0001" if value < 0.0001 else f"{value:.4f}"
