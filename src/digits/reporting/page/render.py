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
    """One model on one split, `test` or `holdout`."""

    name: str
    rows: int
    statistics: Statistics
    scores: Mapping[str, float]  # as `scores.score_probabilities` returns them
    matrix: Png
    alluvial: Png  # the same counts as ribbons from reference to prediction


@dataclass(frozen=True, eq=False)
class ModelResult:
    """One model."""

    name: str
    run: RunRecord  # of its training
    splits: Sequence[SplitResult]  # the same ones in the same order for every model
    behaviour: Mapping[str, float]  # as `behaviour.accuracy_under` returns it
    confidence: Mapping[str, Any]  # as `EvaluateOutputs.read_confidence` returns it
    reliability: Png  # accuracy by confidence on each split
    mistakes: Png  # the most confident ones
    learning_curves: Png


@dataclass(frozen=True, eq=False)
class ReportContent:
    """The whole report."""

    verdicts: Sequence[str]  # a line per pair and per fragile model
    table: Sequence[Mapping[str, str]]  # heading to cell per model, the same headings in each
    pairs: Sequence[Mapping[str, Any]]  # as `comparison.as_dict` writes them
    models: Sequence[ModelResult]  # at least one
    validation: Mapping[str, Any]  # the JSON result of the `validate` stage
    pareto: Png  # accuracy of each model against its training time
    learning_curves: Png  # those of all models, overlaid
    raw_data: Mapping[str, Png]  # caption to picture


def render(content: ReportContent) -> str:
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
    templates.filters["data_uri"] = _data_uri
    return templates


def _data_uri(png: Png) -> str:
    return f"data:image/png;base64,{b64encode(png).decode('ascii')}"
