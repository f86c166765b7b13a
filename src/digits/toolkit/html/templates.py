"""How a template becomes a page."""

from base64 import b64encode
from typing import Any

from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined


def templates(package: str, **options: Any) -> Environment:
    """The templates of a package and of this one; text is escaped, an unknown name is an error."""
    found = Environment(
        loader=ChoiceLoader([PackageLoader(each, ".") for each in (package, __package__)]),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        **{"autoescape": True} | options,
    )
    found.filters["p_value"] = p_value
    found.filters["data_uri"] = lambda png: f"data:image/png;base64,{b64encode(png).decode()}"
    return found


def p_value(value: float) -> str:
    return "<0.0001" if value < 0.0001 else f"{value:.4f}"
