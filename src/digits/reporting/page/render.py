"""The report: one HTML page that carries everything and loads nothing."""

from base64 import b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from digits.core.artifacts import RunRecord
from digits.evaluation.caret import Statistics
from digits.reporting.page import tables

Png = bytes  # the content of a PNG file


@dataclass(frozen=True, eq=False)
class SplitResult:
    """One model on one split.

    Attributes:
        name: of the split, `test` or `holdout`.
        rows: how many images the split has.
        statistics: of the confusion matrix.
        scores: metric to value, as `scores.evaluate` returns them.
        matrix: the confusion matrix.
        alluvial: the same counts as ribbons from reference to prediction.
    """

    name: str
    rows: int
    statistics: Statistics
    scores: Mapping[str, float]
    matrix: Png
    alluvial: Png


@dataclass(frozen=True, eq=False)
class ModelResult:
    """One model.

    Attributes:
        name: of the model.
        run: the MLflow run of its training.
        splits: the same splits in the same order for every model.
        behaviour: accuracy on disturbed images, as `behaviour.accuracy_under` returns it.
        mistakes: the most confident ones.
        learning_curves: loss and accuracy after each epoch.
    """

    name: str
    run: RunRecord
    splits: Sequence[SplitResult]
    behaviour: Mapping[str, float]
    mistakes: Png
    learning_curves: Png


@dataclass(frozen=True, eq=False)
class ReportContent:
    """The whole report.

    Attributes:
        verdicts: the result of the comparison in words: a line per pair and per fragile model.
        table: the comparison, heading to cell per model, the same headings in each.
        pairs: every two models on the same rows, as `comparison.as_dict` writes them.
        models: at least one.
        validation: the JSON result of the `validate` stage.
        pareto: accuracy of each model against its training time.
        learning_curves: those of all models, overlaid.
        raw_data: caption to picture.
    """

    verdicts: Sequence[str]
    table: Sequence[Mapping[str, str]]
    pairs: Sequence[Mapping[str, Any]]
    models: Sequence[ModelResult]
    validation: Mapping[str, Any]
    pareto: Png
    learning_curves: Png
    raw_data: Mapping[str, Png]


def render(content: ReportContent) -> str:
    """The page as HTML; the same content gives the same text, without times or random ids."""
    environment = Environment(
        loader=PackageLoader("digits.reporting.page", "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["data_uri"] = _data_uri
    return environment.get_template("index.html.j2").render(content=content, tables=tables)


def _data_uri(png: Png) -> str:
    return f"data:image/png;base64,{b64encode(png).decode('ascii')}"
