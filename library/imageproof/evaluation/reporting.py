"""The stage `report`: the outputs of the other stages as one page that needs no network.

A `Table` maps the heading of each column to a mapping from the headings of rows to cells.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from imageproof.artifacts import WORKSPACE, run_page
from imageproof.base._dataset import EVALUATED
from imageproof.base.files import read_json, write_text
from imageproof.base.text import cut
from imageproof.judge import _leaderboard
from imageproof.judge._caret import Figures, Statistics, as_tables, label_of
from imageproof.judge._confusion import MANY_CLASSES
from imageproof.judge._figures import column
from imageproof.judge.disturbances import accuracies, in_words
from imageproof.outputs import EvaluateOutputs
from imageproof.pages._templates import p_value, templates
from imageproof.report import PART_NAMES

Cell = tuple[str, str]  # text and tooltip
Table = Mapping[str, Mapping[str, str | Cell]]


def write_report(models: Sequence[str], *, pictures: Mapping[str, str]) -> None:
    """Write the page; the same outputs give the same text, without times or random ids.

    `pictures` of the project's own are files in a model's folder of `evaluate`, by their captions.
    """
    comparison = read_json(WORKSPACE.comparison, _leaderboard.Comparison)
    cells = _leaderboard.cells(comparison.models, comparison.baseline)
    table = {figures.pop("model"): figures for figures in cells}
    in_short = {
        heading: {model: figures[key] for model, figures in table.items()}
        for key, heading in column("in_short", by="table").items()
    }
    evaluated = {model: WORKSPACE.evaluated(model) for model in models}
    statistics = {model: outputs.read_statistics() for model, outputs in evaluated.items()}
    template = templates("imageproof.report").get_template("index.html.j2")
    page = template.render(
        artifacts=WORKSPACE,
        splits=EVALUATED,
        part_names=PART_NAMES,
        summary=WORKSPACE.read_split_summary(),
        validation=read_json(WORKSPACE.validation, dict[str, Any]),
        comparison=comparison,
        table=table,
        in_short=in_short,
        meanings=column("meaning", by="table"),
        runs={model: WORKSPACE.trained(model).read_run() for model in models},
        evaluated=evaluated,
        statistics=statistics,
        behaviours={model: outputs.read_behaviour() for model, outputs in evaluated.items()},
        pictures=pictures,
        many=len(statistics[models[0]]["test"].by_class) > MANY_CLASSES,
        accuracies=accuracies,
        as_tables=as_tables,
        by_class=by_class,
        cut=cut,
        in_words=in_words,
        overall=overall,
        run_page=run_page,
    )
    write_text(WORKSPACE.report, page)


def overall(evaluated: Mapping[str, EvaluateOutputs], split: str) -> Table:
    """The overall figures, scores and answer sets of each model on a split."""
    headings = column("report")
    table = {}
    for model, outputs in evaluated.items():
        statistics = outputs.read_statistics()[split]
        confidence = outputs.read_confidence()
        scores = outputs.read_metrics()[split] | confidence[split]
        scores["coverage_asked"] = confidence["asked"]
        table[model] = _texts(statistics.overall, statistics, None) | {
            headings[key]: f"{score:.4f}"
            for name, score in scores.items()
            if (key := f"test_{name}") in headings
        }
    return table


def by_class(statistics: Statistics) -> Table:
    """The figures of the classes: a column per class, or a row if they are many."""
    table = {
        name: _texts(figures, statistics, name) for name, figures in statistics.by_class.items()
    }
    if len(table) <= MANY_CLASSES:
        return table
    labels = next(iter(table.values()))
    return {label: {name: texts[label] for name, texts in table.items()} for label in labels}


def _texts(
    figures: Figures,
    statistics: Statistics,
    name: str | None,
) -> dict[str, str | Cell]:
    """The figures of the class of this name (None: the overall ones) as texts, by their labels.

    One that does not exist is `n/a`, with the reason as tooltip.
    """
    reasons = {
        note["figure"]: note["reason"] for note in statistics.undefined if note["class"] == name
    }
    texts: dict[str, str | Cell] = {}
    for figure, value in figures.items():
        write = p_value if figure.endswith("p_value") else "{:.4f}".format
        texts[label_of(figure)] = ("n/a", reasons[figure]) if value is None else write(value)
    return texts
