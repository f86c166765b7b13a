"""The stage `report`: the outputs of the other stages as one page that needs no network.

A `Table` maps the heading of each column to a mapping from the headings of rows to cells.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import pandas as pd

from imageproof.artifacts import WORKSPACE, run_page
from imageproof.base._dataset import EVALUATED
from imageproof.base.files import read_json, write_text
from imageproof.base.text import cut
from imageproof.judge import _leaderboard
from imageproof.judge._caret import Figures, Statistics, as_tables, label_of
from imageproof.judge._confusion import MANY_CLASSES
from imageproof.judge._figures import column
from imageproof.judge.disturbances import accuracies, in_words
from imageproof.outputs import RunRecord
from imageproof.pages._templates import p_value, templates

RAW_DATA_PICTURES = {
    "class_distribution": "Images of each class, with their share",
    "samples": "Samples of each class",
    "mean": "Pixel-wise mean of each class",
    "median": "Pixel-wise median of each class",
    "standard_deviation": "Pixel-wise standard deviation of each class",
}

Png = bytes  # the content of a PNG file

Cell = tuple[str, str]  # text and tooltip
Table = Mapping[str, Mapping[str, str | Cell]]


class SplitResult(NamedTuple):
    name: str  # test or holdout
    rows: int
    statistics: Statistics
    scores: Mapping[str, float]  # as `scores.score_probabilities` returns them
    matrix: Png
    alluvial: Png
    confused: pd.DataFrame  # as `_confusion.most_confused` returns it


class ModelResult(NamedTuple):
    name: str
    run: RunRecord
    splits: Sequence[SplitResult]  # the same ones in the same order for every model
    behaviour: Mapping[str, float]  # as `disturbances.accuracy_under` returns it
    confidence: Mapping[str, Any]  # as `EvaluateOutputs.read_confidence` returns it
    slices: pd.DataFrame  # as `EvaluateOutputs.read_slices` returns it
    reliability: Png
    mistakes: Png
    pictures: Mapping[str, Png]  # of the project's own, by caption


class ReportContent(NamedTuple):
    verdicts: Sequence[str]  # the first one on the choice
    table: Table  # of all models
    pairs: Sequence[Mapping[str, Any]]  # as `_verdicts.as_dict` writes them
    models: Sequence[ModelResult]  # at least one
    validation: Mapping[str, Any]  # the JSON result of the `validate` stage
    pareto: Png
    learning_curves: Png
    raw_data: Mapping[str, Png]  # caption to picture
    sources: Mapping[str, Mapping[str, Any]]  # see `Artifacts.read_split_summary`


def write_report(models: Sequence[str], *, pictures: Mapping[str, str]) -> None:
    """Write the page.

    `pictures` of the project's own are files in a model's folder of `evaluate`, by their captions.
    """
    summary = WORKSPACE.read_split_summary()
    comparison = read_json(WORKSPACE.comparison, _leaderboard.Comparison)
    table = _leaderboard.cells(comparison.models, comparison.baseline)
    content = ReportContent(
        verdicts=comparison.verdicts,
        table={cells.pop("model"): cells for cells in table},
        pairs=comparison.pairs,
        models=[_read_model(model, summary["rows"], pictures) for model in models],
        validation=read_json(WORKSPACE.validation, dict[str, Any]),
        pareto=(WORKSPACE.compare / "pareto.png").read_bytes(),
        learning_curves=(WORKSPACE.compare / "learning_curves.png").read_bytes(),
        raw_data={
            caption: (WORKSPACE.explore / f"{name}.png").read_bytes()
            for name, caption in RAW_DATA_PICTURES.items()
        },
        sources=summary["sources"],
    )
    write_text(WORKSPACE.report, render(content))


def _read_model(
    model: str,
    rows: Mapping[str, int],
    pictures: Mapping[str, str],
) -> ModelResult:
    """One model's part of the page, from the outputs of `train` and `evaluate`."""
    evaluated = WORKSPACE.evaluated(model)
    scores = evaluated.read_metrics()
    statistics = evaluated.read_statistics()
    names = {"reference": str, "prediction": str}
    confused = pd.read_csv(evaluated.confused, dtype=names, keep_default_na=False)
    return ModelResult(
        name=model,
        run=WORKSPACE.trained(model).read_run(),
        splits=[
            SplitResult(
                name=split,
                rows=rows[split],
                statistics=Statistics(**statistics[split]),
                scores=scores[split],
                matrix=evaluated.matrix_picture(split).read_bytes(),
                alluvial=evaluated.alluvial(split).read_bytes(),
                confused=confused[confused["split"] == split],
            )
            for split in EVALUATED
        ],
        behaviour=evaluated.read_behaviour(),
        confidence=evaluated.read_confidence(),
        slices=evaluated.read_slices(),
        reliability=evaluated.reliability.with_suffix(".png").read_bytes(),
        mistakes=evaluated.mistakes.read_bytes(),
        pictures={
            caption: (evaluated.folder / name).read_bytes() for caption, name in pictures.items()
        },
    )


def render(content: ReportContent) -> str:
    """The page as HTML; the same content gives the same text, without times or random ids."""
    template = templates("imageproof.report").get_template("index.html.j2")
    in_short = {
        heading: {model: cells[key] for model, cells in content.table.items()}
        for key, heading in column("in_short", by="table").items()
    }
    return template.render(
        content=content,
        in_short=in_short,
        meanings=column("meaning", by="table"),
        many=len(content.models[0].splits[0].statistics.by_class) > MANY_CLASSES,
        accuracies=accuracies,
        as_tables=as_tables,
        by_class=by_class,
        cut=cut,
        in_words=in_words,
        overall=overall,
        run_page=run_page,
    )


def overall(models: Sequence[ModelResult], split: int) -> Table:
    """The overall figures, scores and answer sets of each model on the split of this number."""
    headings = column("report")
    table = {}
    for model in models:
        part = model.splits[split]
        scores = {**part.scores, **model.confidence[part.name]}
        scores["coverage_asked"] = model.confidence["asked"]
        table[model.name] = _texts(part.statistics.overall, part.statistics, None) | {
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
