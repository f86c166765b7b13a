"""The report: one HTML page that carries everything and loads nothing."""

from base64 import b64encode

from jinja2 import Environment, PackageLoader, StrictUndefined

from digits.reporting.page import tables


def render(content: tables.ReportContent) -> str:
    """The page as HTML; the same content gives the same text, without times or random ids."""
    return environment("page").get_template("index.html.j2").render(content=content, tables=tables)


def environment(folder: str) -> Environment:
    """The templates of a folder of this room; text is escaped, what is undefined is an error."""
    templates = Environment(
        loader=PackageLoader("digits.reporting", folder),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    templates.filters["data_uri"] = lambda png: f"data:image/png;base64,{b64encode(png).decode()}"
    return templates
