"""The limits of the promotion gate, and how many hold-out rows they need to mean anything."""

from collections.abc import Mapping, Sequence
from math import ceil, floor, log
from typing import Annotated, Any, NamedTuple

from pydantic import BeforeValidator, Field

from imageproof.base.files import StrictModel
from imageproof.judge._groups import TAIL, most_independent

Off = BeforeValidator(lambda value: None if value is False else value)
Share = Annotated[float | None, Field(ge=0, le=1), Off]
Level = Annotated[float | None, Field(gt=0, lt=1), Off]
Positive = Annotated[float | None, Field(gt=0), Off]
Count = Annotated[int | None, Field(ge=1), Off]
Switch = Annotated[bool | None, Off]

OF_ALL = "min_unseen", "max_accuracy_loss", "max_total_loss"
OF_EACH = (  # a row counts for one of all rows only if its class has as many as the others
    *("min_balanced_accuracy", "max_balanced_accuracy_loss"),
    *("min_macro_f1", "max_macro_f1_loss"),
)
LIMITS = "max_sensitivity_loss", "min_sensitivity", *OF_ALL, *OF_EACH


class ShadowParams(StrictModel):
    """`min_rows` labelled rows, drawn at random, of those that both models answered in service."""

    min_rows: Annotated[int, Field(ge=1, description="labelled rows, drawn at random")]


class PromoteParams(StrictModel):
    """`promote:` in params.yaml: one check per key; null or false turns it off.

    Shares are of the hold-out rows, 0…1; what ends in `_test` is the level α of a test. With fewer
    rows than `min_unseen` that no model has seen, the gate is undecided.
    """

    min_unseen: Count
    min_accuracy: Share
    min_balanced_accuracy: Share
    min_macro_f1: Share
    min_sensitivity: Share
    beats_baseline: Level
    paired_test: Level
    max_accuracy_loss: Share
    max_balanced_accuracy_loss: Share
    max_macro_f1_loss: Share
    max_sensitivity_loss: Share
    max_total_loss: Share
    max_slice_loss: Share
    max_calibration_error: Share
    coverage_test: Level
    max_unsure: Share
    holdout_test: Level
    shadow: Annotated[ShadowParams | None, Off]
    max_latency_ms: Positive
    max_size_mb: Positive
    data_validated: Switch
    clean_commit: Switch


class Counts(NamedTuple):
    """Hold-out rows, and how many independent ones they are worth: all, and those of each class."""

    rows: int
    independent: int
    by_class: Sequence[int]

    def judging(self, key: str) -> int:
        """The rows by which this limit of the gate judges."""
        if key == "min_unseen":
            return self.rows
        return self.independent if key in OF_ALL else min(self.by_class)


def counts_of(rows: Sequence[float], groups: Sequence[float] | None = None) -> Counts:
    """The counts from the numbers of rows: of each class, and last of all; `groups` likewise.

    How alike the rows of a group are answered is not known yet, so it is taken for not at all.
    """
    independent = [*map(floor, rows if groups is None else map(most_independent, rows, groups))]
    return Counts(floor(rows[-1]), independent[-1], independent[:-1])


def rows_needed(params: PromoteParams, counts: Counts) -> dict[str, int]:
    """For each limit of the gate that so few hold-out rows cannot prove: how many it needs.

    With all rows right, the exact 95 % interval must reach a minimum, and that of n rows begins at
    TAIL^(1/n); a loss of one row must be allowed. For macro-F1, where a wrong row counts half in
    its own class and half in another, that is so to first order.
    """
    rows = {}
    for key in LIMITS:
        if not (limit := getattr(params, key)):
            continue
        if key == "min_unseen":
            bound = limit
        else:
            limit = min(limit, 0.9999)
            bound = log(TAIL, limit) if key.startswith("min_") else 1 / limit
        classes = len(counts.by_class) if key in OF_EACH else 1
        minimum = ceil(bound / classes - 1e-9)
        if minimum > counts.judging(key):
            rows[key] = minimum
    return rows


def split_warnings(
    summary: Mapping[str, Any], params: PromoteParams, names: Sequence[str]
) -> list[str]:
    """What split.json says against a split: copies of training rows, and too few hold-out rows."""
    by_class = summary["class_counts"]["holdout"]  # without a class that has no row
    rows = [by_class.get(str(label), 0) for label in range(len(names))]
    rows.append(summary["rows"]["holdout"])
    groups = None
    if "groups" in summary:  # a class may have rows in all groups
        groups = [min(count, summary["groups"]["holdout"]) for count in rows]
    counts = counts_of(rows, groups)
    worth = f"in {groups[-1]:,} groups worth {counts.independent:,} at most, " if groups else ""
    limits = [
        f"promote.{key} ({rows:,}{' of each class' * (key not in OF_ALL)})"
        for key, rows in rows_needed(params, counts).items()
    ]
    lines = _copies(summary)
    if limits:
        fewest = min(counts.by_class)
        least = f"{fewest:,} of class {names[counts.by_class.index(fewest)]}"
        finding = f"{counts.rows:,} hold-out rows, {worth}{least}, are too few for "
        mend = "; raise `holdout` of split, add rows, or change these limits"
        lines.append(finding + ", ".join(limits) + mend)
    return lines


def _copies(summary: Mapping[str, Any]) -> list[str]:
    rows = summary["rows"]
    counts = [f"{n:,} of {rows[part]:,} {part}" for part, n in summary["copies"].items() if n]
    mend = "accuracy on them is too high; set split.copies: drop"
    return [f"{', '.join(counts)} rows are copies of training images: {mend}"] if counts else []
