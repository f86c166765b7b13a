"""The report: one HTML page that carries everything and loads nothing.

A table of it maps headings of columns to mappings from headings of rows to cells.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from digits.artifacts import run_page
from digits.evaluation.leaderboard import MEANINGS
from digits.toolkit.html.templates import p_value, templates
from digits.toolkit.judgement.behaviour import fragile, words
from digits.toolkit.judgement.caret import Figures, Statistics, as_tables, label_of
from digits.toolkit.judgement.slices import weakest
from digits.toolkit.outputs import RunRecord

if TYPE_CHECKING:
    import pandas as pd

Png = bytes  # the content of a PNG file

IN_SHORT = {  # figures to choose by: headings in the table of all, and in the first table
    "test accuracy": "test accuracy",
    "weakest class": "weakest class",
    "elapsed s": "training time, s",
    "times": "× the fastest",
}
SCORES = {
    "loss": "Log loss",
    "brier": "Brier score",
    "ece": "Expected calibration error",
    "top2_accuracy": "Top-2 accuracy",
}


Cell = tuple[str, str]  # text and tooltip
Table = Mapping[str, Mapping[str, str | Cell]]


class SplitResult(NamedTuple):
    name: str  # test or holdout
    rows: int
    statistics: Statistics
    scores: Mapping[str, float]  # as `scores.score_probabilities` returns them
    matrix: Png
    alluvial: Png


class ModelResult(NamedTuple):
    name: str
    run: RunRecord
    splits: Sequence[SplitResult]  # the same ones in the same order for every model
    behaviour: Mapping[str, float]  # as `behaviour.accuracy_under` returns it
    confidence: Mapping[str, Any]  # as `EvaluateOutputs.read_confidence` returns it
    slices: "pd.DataFrame"  # as `EvaluateOutputs.read_slices` returns it
    reliability: Png
    mistakes: Png


class ReportContent(NamedTuple):
    verdicts: Sequence[str]  # the first one on the choice
    table: Table  # of all models
    pairs: Sequence[Mapping[str, Any]]  # as `comparison.as_dict` writes them
    models: Sequence[ModelResult]  # at least one
    validation: Mapping[str, Any]  # the JSON result of the `validate` stage
    pareto: Png
    learning_curves: Png
    raw_data: Mapping[str, Png]  # caption to picture
    sources: Mapping[str, Mapping[str, Any]]  # see `Layout.read_split_summary`


def render(content: ReportContent) -> str:
    """The page as HTML; the same content gives the same text, without times or random ids."""
    template = templates("digits.report").get_template("index.html.j2")
    in_short = {
        heading: {model: cells[key] for model, cells in content.table.items()}
        for key, heading in IN_SHORT.items()
    }
    functions = overall, by_class, as_tables, fragile, weakest, words, run_page
    named = {each.__name__: each for each in functions}
    meanings = defaultdict(str, MEANINGS)
    return template.render(content=content, in_short=in_short, meanings=meanings, **named)


def overall(models: Sequence[ModelResult], split: int) -> Table:
    return {model.name: _overall(model, model.splits[split]) for model in models}


def _overall(model: ModelResult, part: SplitResult) -> dict[str, str | Cell]:
    column: dict[str, str | Cell] = _texts(part.statistics.overall, part.statistics, None)
    column |= {label: f"{part.scores[key]:.4f}" for key, label in SCORES.items()}
    sets = model.confidence[part.name]
    # a threshold of 0 makes every answer unsure, see `confidence.threshold`
    few = "" if model.confidence["threshold"] else "too few validation rows"
    return column | {
        f"Coverage, {model.confidence['asked']:g} asked": f"{sets['coverage']:.4f}",
        "Coverage 95% CI lower": f"{sets['lower']:.4f}",
        "Coverage 95% CI upper": f"{sets['upper']:.4f}",
        "Classes in an answer set": f"{sets['mean_size']:.4f}",
        "Unsure": (f"{sets['unsure']:.4f}", few),
    }


def by_class(statistics: Statistics) -> Table:
    return {name: _texts(of, statistics, name) for name, of in statistics.by_class.items()}


def _texts(figures: Figures, statistics: Statistics, name: str | None) -> dict[str, str | Cell]:
    """The figures of a class, or the overall ones; the reason beside each that does not exist."""
    missing = (each for each in statistics.undefined if each["class"] == name)
    reasons = {each["figure"]: each["reason"] for each in missing}
    texts: dict[str, str | Cell] = {}
    for figure, value in figures.items():
        write = p_value if figure.endswith("p_value") else "{:.4f}".format
        texts[label_of(figure)] = ("n/a", reasons[figure]) if value is None else write(value)
    return texts
