"""What the report shows, and its tables; every cell is a text."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from digits.core.artifacts import RunRecord
from digits.evaluation.behaviour import PERTURBATIONS, fragile
from digits.evaluation.caret import BY_CLASS, LABELS, OVERALL, Statistics, as_tables, p_value_text

Png = bytes  # the content of a PNG file
Pair = Mapping[str, Any]  # as `comparison.as_dict` writes it

ROWS_SHOWN = 500
SCORES = {
    "loss": "Log loss",
    "brier": "Brier score",
    "ece": "Expected calibration error",
    "top2_accuracy": "Top-2 accuracy",
}


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


class Cell(NamedTuple):
    """A cell; `note` is its tooltip, and a marked one is bold."""

    text: str
    note: str = ""
    marked: bool = False


class Table(NamedTuple):
    """Column headings, then rows of a heading and cells."""

    columns: list[str]
    rows: list[tuple[str, list[Cell]]]


def comparison(table: Sequence[Mapping[str, str]]) -> Table:
    """One column per model."""
    heading, *measures = table[0]
    rows = [(measure, [Cell(row[measure]) for row in table]) for measure in measures]
    return Table([heading, *(row[heading] for row in table)], rows)


def pairs(compared: Sequence[Pair]) -> Table:
    """One column per pair of models."""
    columns = [_pair(pair) for pair in compared]
    rows = [(measure, [column[measure] for column in columns]) for measure in columns[0]]
    return Table(["pair", *(f"{pair['better']} over {pair['other']}" for pair in compared)], rows)


def overall(models: Sequence[ModelResult], split: int) -> Table:
    """The statistics of one split, one column per model."""
    statistics = [model.splits[split].statistics for model in models]
    texts = [as_tables(of_model).overall["value"].tolist() for of_model in statistics]
    rows = [
        (LABELS[figure], [_cell(texts[i][row], statistics[i], figure) for i in range(len(models))])
        for row, figure in enumerate(OVERALL)
    ]
    rows += _scores(models, split) + _answer_sets(models, split)
    return Table(["statistic", *(model.name for model in models)], rows)


def by_class(statistics: Statistics) -> Table:
    """The statistics of each class, one column per class."""
    names, texts = list(statistics.by_class), as_tables(statistics).by_class.to_numpy().tolist()
    rows = [
        (
            LABELS[figure],
            [_cell(text, statistics, figure, name) for text, name in zip(row, names, strict=True)],
        )
        for figure, row in zip(BY_CLASS, texts, strict=True)
    ]
    return Table(["class", *names], rows)


def behaviour(models: Sequence[ModelResult]) -> Table:
    """Accuracy on disturbed images, one column per model, with the change in brackets."""
    rows = []
    for name in models[0].behaviour:
        words = PERTURBATIONS[name].words if name in PERTURBATIONS else "as they are"
        rows.append((words, [_behaviour(model.behaviour, name) for model in models]))
    return Table(["images", *(model.name for model in models)], rows)


def validated(summary: Mapping[str, Mapping[str, Any]]) -> Table:
    """Rows, shapes and other properties of the data, one column per part."""
    rows = []
    for key in next(iter(summary.values()), {}):
        if key != "class_counts":
            values = [part[key] for part in summary.values()]
            texts = [", ".join(map(str, v)) if isinstance(v, list) else f"{v:,}" for v in values]
            rows.append((key.replace("_", " "), list(map(Cell, texts))))
    return Table(["", *summary], rows)


def notes(models: Sequence[ModelResult], split: int) -> Iterator[str]:
    """A line per model and reason why figures of a split are n/a."""
    for model in models:
        for note in as_tables(model.splits[split].statistics).notes:
            yield f"{model.name}: {note}"


def row_numbers(rows: Sequence[int]) -> str:
    """At most 500 row numbers, and how many more there are."""
    listed = ", ".join(map(str, rows[:ROWS_SHOWN]))
    more = len(rows) - ROWS_SHOWN
    return f"{listed} … and {more} more" if more > 0 else listed or "none"


def _pair(pair: Pair) -> dict[str, Cell]:
    interval = f"{_points(pair['lower'])} to {_points(pair['upper'])} points"
    return {
        "gain in accuracy": Cell(
            f"{100 * pair['gain']:.2f} points", marked=not pair["within_noise"]
        ),
        "95 % interval": Cell(interval),
        "exact McNemar p": Cell(p_value_text(pair["p_value"])),
        "only the first is right": Cell(f"{len(pair['better_right']):,} rows"),
        "only the second is right": Cell(f"{len(pair['other_right']):,} rows"),
        "answers differ": Cell(f"{pair['disagreements']:,} rows"),
        "training time": Cell(f"{pair['time_ratio']:,.2f}×"),
        "per error avoided in 10,000": _price(pair["seconds_per_error"]),
    }


def _points(share: float) -> str:
    return f"{100 * share:z.2f}".replace("-", "−")


def _price(seconds: float | None) -> Cell:
    if seconds is None:
        return Cell("n/a", "no gain, so no error is avoided")
    if seconds < 0:
        return Cell("nothing", "the more accurate model is also the faster one")
    return Cell(f"{seconds:,.2f} s")


def _cell(text: str, statistics: Statistics, figure: str, label: str | None = None) -> Cell:
    undefined = {(note["figure"], note["class"]): note["reason"] for note in statistics.undefined}
    return Cell(text, undefined.get((figure, label), ""))


def _scores(models: Sequence[ModelResult], split: int) -> list[tuple[str, list[Cell]]]:
    scores = [model.splits[split].scores for model in models]
    return [
        (
            label,
            [Cell(f"{row[key]:.4f}") if key in row else Cell("n/a", "no rows") for row in scores],
        )
        for key, label in SCORES.items()
    ]


def _answer_sets(models: Sequence[ModelResult], split: int) -> list[tuple[str, list[Cell]]]:
    labels = {
        "coverage": f"Coverage, {models[0].confidence['asked']:g} asked",
        "lower": "Coverage 95% CI lower",
        "upper": "Coverage 95% CI upper",
        "mean_size": "Classes in an answer set",
    }
    found = [model.confidence[model.splits[split].name] for model in models]
    rows = [
        (label, [Cell(f"{sets[key]:.{3 if key == 'mean_size' else 4}f}") for sets in found])
        for key, label in labels.items()
    ]
    # a threshold of 0 makes every answer unsure, see `confidence.threshold`
    few = ["" if m.confidence["threshold"] else "too few validation rows" for m in models]
    unsure = [f"{100 * sets['unsure']:.2f} %" for sets in found]
    return [*rows, ("Unsure", list(map(Cell, unsure, few)))]


def _behaviour(accuracies: Mapping[str, float], name: str) -> Cell:
    loss = accuracies["clean"] - accuracies[name]
    change = "" if name == "clean" else f" ({-100 * loss:+z.1f})"
    text = f"{100 * accuracies[name]:.1f} %{change}"
    return Cell(text.replace("-", "−"), marked=name in fragile(accuracies))
