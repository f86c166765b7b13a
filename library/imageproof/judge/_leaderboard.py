"""The table of models side by side: accuracy, training time, size, latency."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from pydantic import BaseModel

from imageproof.base.errors import DataError
from imageproof.judge._figures import column
from imageproof.judge._timing import Training, comparable_times
from imageproof.judge.scores import numbers


class Scores(BaseModel, extra="allow"):
    """What a model or the baseline gets right: accuracies 0…1, losses in nats."""

    __pydantic_extra__: dict[str, int | float | None]
    model: str
    test_accuracy: float
    test_accuracy_lower: float | None = None
    test_accuracy_upper: float | None = None


class Row(Scores):
    """One model and its MLflow run, with the latency of one image.

    It has a number for each figure of the table, but those of many classes only.
    """

    weakest_class: str
    weakest_sensitivity: float
    elapsed_s: float
    shared_cores: float
    size_bytes: int
    run_id: str
    cpu: str = ""
    train_accuracy: float | None = None


KEYS = (*Row.model_fields, *column("table"))


def row(figures: Mapping[str, Any]) -> Row:
    """The row of a model, from all its figures by key."""
    return Row(**{key: figures[key] for key in KEYS if key in figures})


def with_own(rows: Sequence[Row], own: Mapping[str, Mapping[str, Any]]) -> list[Row]:
    """The rows with figures of a project's own, by model and heading.

    A DataError if no row is of such a model, or a figure is called as the library's.
    """
    by_model = {row.model: row for row in rows}
    for model, figures in own.items():
        if model not in by_model:
            names = ", ".join(by_model)
            raise DataError(f"{model}: has own figures, and is none of the models {names}")
        for heading in figures:
            if heading in {*KEYS, *column("table").values()}:
                raise DataError(f"{heading}: is a figure of the library; choose another heading")
        by_model[model] = by_model[model].model_copy(update=numbers(figures))
    return [*by_model.values()]


def own_headings(rows: Sequence[Row]) -> dict[str, str]:
    """The figures of a project's own, which are no line of figures.csv: keys are headings."""
    return {key: key for row in rows for key in row.__pydantic_extra__ if key not in KEYS}


class Comparison(NamedTuple):
    """What the `compare` stage writes as JSON; `pairs` are results of `_verdicts.as_dict`."""

    models: list[Row]
    pairs: list[dict[str, Any]]
    verdicts: list[str]
    baseline: Scores | None = None


def figures(rows: Sequence[Row]) -> list[dict[str, Any]]:
    """The figures of each model by key; `time_ratio` is None for a time that cannot be compared."""
    times, _ = training_times(rows)
    fastest = min(filter(None, times.values()), default=1.0)
    return [
        row.model_dump(exclude_none=True)
        | {"size_mb": row.size_bytes / 1e6, "time_ratio": seconds and seconds / fastest}
        for row, seconds in zip(rows, times.values(), strict=True)
    ]


def training_times(rows: Sequence[Row]) -> tuple[dict[str, float | None], list[str]]:
    """The training times by model, and why some cannot be compared; see `comparable_times`."""
    return comparable_times(
        {row.model: Training(row.elapsed_s, row.shared_cores, row.cpu) for row in rows}
    )


def cells(rows: Sequence[Row], baseline: Scores | None = None) -> list[dict[str, str]]:
    """The table as text: per model, and for the baseline, a mapping from heading to cell."""
    table = figures(rows)
    if baseline:
        table.append(baseline.model_dump())
    keys = {key for values in table for key in values}
    headings = {key: text for key, text in column("table").items() if key in keys}
    headings |= own_headings(rows)
    return [{text: _cell(key, values) for key, text in headings.items()} for values in table]


def _cell(key: str, values: Mapping[str, Any]) -> str:
    value = values.get(key)
    form = column("format").get(key, "{:.4g}" if isinstance(value, float) else "{}")
    return "n/a" if value is None else form.format(value, **values)
