"""Tables of the report, every cell a text."""

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from digits.evaluation.behaviour import PERTURBATIONS, fragile
from digits.evaluation.caret import (
    BY_CLASS,
    LABELS,
    OVERALL,
    Statistics,
    as_tables,
    p_value_text,
)

if TYPE_CHECKING:
    from digits.reporting.page.render import ModelResult

Pair = Mapping[str, Any]  # as `comparison.as_dict` writes it

ROWS_SHOWN = 500
SCORES = {
    "loss": "Log loss",
    "brier": "Brier score",
    "ece": "Expected calibration error",
    "top2_accuracy": "Top-2 accuracy",
}


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


def overall(models: Sequence["ModelResult"], split: int) -> Table:
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


def behaviour(models: Sequence["ModelResult"]) -> Table:
    """Accuracy on disturbed images, one column per model, with the change in brackets."""
    rows = []
    for name in models[0].behaviour:
        words = PERTURBATIONS[name].words if name in PERTURBATIONS else "as they are"
        rows.append((words, [_behaviour(model.behaviour, name) for model in models]))
    return Table(["images", *(model.name for model in models)], rows)


def validated(summary: Mapping[str, Mapping[str, Any]]) -> Table:
    """Rows, shapes and other properties of the data, one column per part."""
    keys = [key for key in next(iter(summary.values()), {}) if key != "class_counts"]
    rows = [
        (key.replace("_", " "), [Cell(_plain(part[key])) for part in summary.values()])
        for key in keys
    ]
    return Table(["", *summary], rows)


def notes(models: Sequence["ModelResult"], split: int) -> Iterator[str]:
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


def _scores(models: Sequence["ModelResult"], split: int) -> list[tuple[str, list[Cell]]]:
    scores = [model.splits[split].scores for model in models]
    return [(label, [_score(row.get(key)) for row in scores]) for key, label in SCORES.items()]


def _answer_sets(models: Sequence["ModelResult"], split: int) -> list[tuple[str, list[Cell]]]:
    asked = models[0].confidence["asked"]
    found = [model.confidence[model.splits[split].name] for model in models]
    return [
        (f"Coverage, {asked:g} asked", [_score(sets["coverage"]) for sets in found]),
        ("Coverage 95% CI lower", [_score(sets["lower"]) for sets in found]),
        ("Coverage 95% CI upper", [_score(sets["upper"]) for sets in found]),
        ("Classes in an answer set", [Cell(f"{sets['mean_size']:.3f}") for sets in found]),
        (
            "Unsure",
            [
                Cell(f"{100 * sets['unsure']:.2f} %", _too_few(model.confidence["threshold"]))
                for model, sets in zip(models, found, strict=True)
            ],
        ),
    ]


def _too_few(threshold: float) -> str:
    """Why all answers are unsure, if they are: see `confidence.threshold`."""
    return "" if threshold else "too few validation rows for this coverage"


def _score(value: float | None) -> Cell:
    return Cell("n/a", "no rows") if value is None else Cell(f"{value:.4f}")


def _behaviour(accuracies: Mapping[str, float], name: str) -> Cell:
    loss = accuracies["clean"] - accuracies[name]
    change = "" if name == "clean" else f" ({-100 * loss:+z.1f})"
    text = f"{100 * accuracies[name]:.1f} %{change}"
    return Cell(text.replace("-", "−"), marked=name in fragile(accuracies))


def _plain(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(map(str, value))
    return f"{value:,}"
