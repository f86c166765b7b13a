"""The report: one HTML page that carries everything and needs no network."""

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from plotly.offline import get_plotlyjs

from digits.reporting.page import figures, tables
from digits.reporting.page.content import ModelResult, ReportContent, SplitResult

__all__ = ["ModelResult", "ReportContent", "SplitResult", "render"]


def render(content: ReportContent) -> str:
    """The whole page; the same content gives the same text, without times or random ids."""
    environment = Environment(
        loader=PackageLoader("digits.reporting.page", "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    template = environment.get_template("index.html.j2")
    # trusted: it comes from the installed plotly package
    plotly_js = Markup(get_plotlyjs())
    return template.render(content=content, figures=figures, tables=tables, plotly_js=plotly_js)
