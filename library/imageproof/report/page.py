"""The report: one HTML page that carries everything and loads nothing.

A table of it maps headings of columns to mappings from headings of rows to cells.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import pandas as pd

from imageproof.artifacts import run_page
from imageproof.judge.behaviour import accuracies, words
from imageproof.judge.caret import Figures, Statistics, as_tables, label_of
from imageproof.judge.confusion import MANY_CLASSES
from imageproof.judge.figures import column
from imageproof.judge.slices import weakest
from imageproof.outputs import RunRecord
from imageproof.pages.templates import p_value, templates

Png = bytes  # the content of a PNG file

MOST_CONFUSED = 20  # pairs of classes


Cell = tuple[str, str]  # text and tooltip
Table = Mapping[str, Mapping[str, str | Cell]]


class SplitResult(NamedTuple):
    name: str  # test or holdout
    rows: int
    statistics: Statistics
    scores: Mapping[str, float]  # as `scores.score_probabilities` returns them
    matrix: Png
    alluvial: Png
    confused: pd.DataFrame  # as `confusion.most_confused` returns it


class ModelResult(NamedTuple):
    name: str
    run: RunRecord
    splits: Sequence[SplitResult]  # the same ones in the same order for every model
    behaviour: Mapping[str, float]  # as `behaviour.accuracy_under` returns it
    confidence: Mapping[str, Any]  # as `EvaluateOutputs.read_confidence` returns it
    slices: pd.DataFrame  # as `EvaluateOutputs.read_slices` returns it
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
    sources: Mapping[str, Mapping[str, Any]]  # see `Artifacts.read_split_summary`


def render(content: ReportContent) -> str:
    """The page as HTML; the same content gives the same text, without times or random ids."""
    template = templates("imageproof.report").get_template("index.html.j2")
    in_short = {
        heading: {model: cells[key] for model, cells in content.table.items()}
        for key, heading in column("in_short", by="table").items()
    }
    of_models = overall, by_class, most_confused, as_tables, accuracies, weakest
    functions = *of_models, words, run_page
    named = {each.__name__: each for each in functions}
    meanings = defaultdict(str, column("meaning", by="table"))
    shown: dict[str, Any] = {"content": content, "in_short": in_short, "meanings": meanings}
    many = len(content.models[0].splits[0].statistics.by_class) > MANY_CLASSES
    return template.render(**shown, **named, many=many)


def overall(models: Sequence[ModelResult], split: int) -> Table:
    return {model.name: _overall(model, model.splits[split]) for model in models}


def _overall(model: ModelResult, part: SplitResult) -> dict[str, str | Cell]:
    headings = column("report")
    scores = {f"test_{name}": f"{score:.4f}" for name, score in part.scores.items()}
    texts = _texts(part.statistics.overall, part.statistics, None)
    texts |= {headings[key]: score for key, score in scores.items() if key in headings}
    sets = model.confidence[part.name]
    # a threshold of 0 makes every answer unsure, see `confidence.threshold`
    few = "" if model.confidence["threshold"] else "too few validation rows"
    return texts | {
        f"Coverage, {model.confidence['asked']:g} asked": f"{sets['coverage']:.4f}",
        "Coverage 95% CI lower": f"{sets['lower']:.4f}",
        "Coverage 95% CI upper": f"{sets['upper']:.4f}",
        "Classes in an answer set": f"{sets['mean_size']:.4f}",
        "Unsure": (f"{sets['unsure']:.4f}", few),
    }


def by_class(statistics: Statistics) -> Table:
    """A column per class; a row per class if they are many."""
    table = {name: _texts(of, statistics, name) for name, of in statistics.by_class.items()}
    if len(table) <= MANY_CLASSES:
        return table
    figures = next(iter(table.values()))
    return {label: {name: of[label] for name, of in table.items()} for label in figures}


def most_confused(part: SplitResult) -> Table:
    """The first pairs of classes; empty without errors."""
    first = part.confused.head(MOST_CONFUSED)
    pairs = first["reference"] + " → " + first["prediction"]
    cells = {"rows": first["rows"].map("{:,}".format), "share": first["share"].map("{:.4f}".format)}
    return {} if first.empty else {k: dict(zip(pairs, of, strict=True)) for k, of in cells.items()}


def _texts(figures: Figures, statistics: Statistics, name: str | None) -> dict[str, str | Cell]:
    """The figures of a class, or the overall ones; the reason beside each that does not exist."""
    missing = (each for each in statistics.undefined if each["class"] == name)
    reasons = {each["figure"]: each["reason"] for each in missing}
    texts: dict[str, str | Cell] = {}
    for figure, value in figures.items():
        write = p_value if figure.endswith("p_value") else "{:.4f}".format
        texts[label_of(figure)] = ("n/a", reasons[figure]) if value is None else write(value)
    return texts
