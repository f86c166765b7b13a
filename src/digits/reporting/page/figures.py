"""Figures as pieces of HTML that need nothing from outside the page."""

from base64 import b64encode
from collections.abc import Sequence
from io import BytesIO

import plotly.graph_objects as go
from markupsafe import Markup
from matplotlib.figure import Figure
from PIL import Image

from digits.evaluation.comparison import Point, pareto_front
from digits.reporting import plots
from digits.reporting.page.content import ModelResult, SplitResult
from digits.reporting.plots import interactive as charts

# plotly's own menu would offer to send the chart to its cloud
CHART = {"displaylogo": False, "showSendToCloud": False, "plotlyServerURL": ""}


def png(content: bytes) -> str:
    """A PNG file as data URI."""
    return f"data:image/png;base64,{b64encode(content).decode('ascii')}"


def still(figure: Figure) -> str:
    """A matplotlib figure as data URI; `savefig` would lay it out and draw it twice."""
    file = BytesIO()
    Image.fromarray(plots.to_array(figure)).save(file, format="PNG")
    return png(file.getvalue())


def interactive(figure: go.Figure, *, name: str) -> Markup:
    """A plotly figure as element and script; `name` must be unique in the page."""
    return Markup(
        figure.to_html(full_html=False, include_plotlyjs=False, div_id=name, config=CHART)
    )


def matrix_chart(model: str, split: SplitResult, names: list[str]) -> Markup:
    """The interactive confusion matrix."""
    figure = charts.confusion_matrix(split.matrix, names=names, title=f"{model}, {split.name}")
    return interactive(figure, name=f"matrix-{model}-{split.name}")


def alluvial_chart(model: str, split: SplitResult, names: list[str]) -> Markup:
    """The alluvial picture of reference and prediction."""
    figure = charts.alluvial(split.matrix, names=names, title=f"{model}, {split.name}")
    return interactive(figure, name=f"alluvial-{model}-{split.name}")


def pareto(models: Sequence[ModelResult]) -> str:
    """Accuracy on the first split against training time."""
    overall = {model.name: model.splits[0].statistics.overall for model in models}
    accuracy = {
        name: (found["accuracy"], found["accuracy_lower"], found["accuracy_upper"])
        for name, found in overall.items()
    }
    seconds = {model.name: model.train_s for model in models}
    front = pareto_front({name: Point(accuracy[name][0], seconds[name]) for name in seconds})
    split = models[0].splits[0].name
    title = f"Accuracy ({split}) against training time"
    return still(plots.pareto(seconds, accuracy, front=front, title=title))


def learning_curves(models: Sequence[ModelResult]) -> str:
    """The learning curves of the given models, overlaid."""
    histories = {model.name: model.history for model in models}
    return still(plots.learning_curves(histories, title=f"Learning curves: {', '.join(histories)}"))


def mistakes(model: ModelResult, names: list[str]) -> str:
    """The most confident mistakes of a model."""
    title = f"{model.name}, {model.splits[0].name}: most confident mistakes"
    return still(plots.mistakes(model.mistakes, names=names, title=title))
