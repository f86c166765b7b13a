"""The report: one HTML page that carries everything and loads nothing.

A table of it maps headings of columns to mappings from headings of rows to cells.
"""

from base64 import b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from jinja2 import Environment, PackageLoader, StrictUndefined

from digits.core.artifacts import RunRecord
from digits.evaluation.behaviour import fragile, words
from digits.evaluation.caret import Statistics, as_tables, label_of, p_value_text

Png = bytes  # the content of a PNG file

SCORES = {
    "loss": "Log loss",
    "brier": "Brier score",
    "ece": "Expected calibration error",
    "top2_accuracy": "Top-2 accuracy",
}


class Cell(NamedTuple):
    """A cell with a tooltip."""

    text: str
    note: str


Table = Mapping[str, Mapping[str, str | Cell]]


@dataclass(frozen=True, eq=False)
class SplitResult:
    """One model on one split, `test` or `holdout`."""

    name: str
    rows: int
    statistics: Statistics
    scores: Mapping[str, float]  # as `scores.score_probabilities` returns them
    matrix: Png
    alluvial: Png


@dataclass(frozen=True, eq=False)
class ModelResult:
    """One model."""

    name: str
    run: RunRecord
    splits: Sequence[SplitResult]  # the same ones in the same order for every model
    behaviour: Mapping[str, float]  # as `behaviour.accuracy_under` returns it
    confidence: Mapping[str, Any]  # as `EvaluateOutputs.read_confidence` returns it
    reliability: Png
    mistakes: Png
    learning_curves: Png


@dataclass(frozen=True, eq=False)
class ReportContent:
    """The whole report."""

    verdicts: Sequence[str]
    table: Table  # of all models
    pairs: Sequence[Mapping[str, Any]]  # as `comparison.as_dict` writes them
    models: Sequence[ModelResult]  # at least one
    validation: Mapping[str, Any]  # the JSON result of the `validate` stage
    pareto: Png
    learning_curves: Png
    raw_data: Mapping[str, Png]  # caption to picture


def render(content: ReportContent) -> str:
    """The page as HTML; the same content gives the same text, without times or random ids."""
    template = environment("page").get_template("index.html.j2")
    functions = overall, by_class, as_tables, fragile, words, p_value_text
    named = {each.__name__: each for each in functions}
    return template.render(content=content, **named)


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


def overall(models: Sequence[ModelResult], split: int) -> Table:
    """The statistics of one split, one column per model."""
    return {model.name: _overall(model, model.splits[split]) for model in models}


def _overall(model: ModelResult, part: SplitResult) -> dict[str, str | Cell]:
    column: dict[Any, str | Cell] = as_tables(part.statistics).overall["value"].to_dict()
    column |= _undefined(part.statistics, None)
    for key, label in SCORES.items():
        column[label] = f"{part.scores[key]:.4f}" if key in part.scores else Cell("n/a", "no rows")
    sets = model.confidence[part.name]
    # a threshold of 0 makes every answer unsure, see `confidence.threshold`
    few = "" if model.confidence["threshold"] else "too few validation rows"
    return column | {
        f"Coverage, {model.confidence['asked']:g} asked": f"{sets['coverage']:.4f}",
        "Coverage 95% CI lower": f"{sets['lower']:.4f}",
        "Coverage 95% CI upper": f"{sets['upper']:.4f}",
        "Classes in an answer set": f"{sets['mean_size']:.3f}",
        "Unsure": Cell(f"{100 * sets['unsure']:.2f} %", few),
    }


def by_class(statistics: Statistics) -> Table:
    """The statistics of each class, one column per class."""
    figures = as_tables(statistics).by_class.to_dict().values()
    return {
        name: {**column, **_undefined(statistics, name)}
        for name, column in zip(statistics.by_class, figures, strict=True)
    }


def _undefined(statistics: Statistics, name: str | None) -> dict[str, Cell]:
    """The cells of figures that do not exist, of a class or overall."""
    return {
        label_of(each["figure"]): Cell("n/a", each["reason"])
        for each in statistics.undefined
        if each["class"] == name
    }
