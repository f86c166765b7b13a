"""Validation of raw data: its params, and how a finding is said.

Only `expectations` imports Great Expectations, which takes 4 s: reading params and scoring do not.
"""

from collections.abc import Sequence
from typing import Annotated, Any, Literal, NamedTuple

from pydantic import Field, model_validator

from digits.toolkit.files import StrictModel

SHOWN_ROWS = 5
Unit = Literal["row", "class"]


class ValidateParams(StrictModel):
    """`validate:` in params.yaml. `min_rows` is a critical check, the others only warn.

    A class gets a warning if its share of the rows differs from 1 / classes by more than
    `class_share_tolerance` times 1 / classes. Mean ink is the mean grey value of an image, 0…255.
    """

    min_rows: Annotated[int, Field(ge=1)]
    class_share_tolerance: Annotated[float, Field(gt=0)]
    min_mean_ink: Annotated[float, Field(ge=0, le=255)]
    max_mean_ink: Annotated[float, Field(ge=0, le=255)]

    @model_validator(mode="after")
    def _range_is_not_empty(self) -> "ValidateParams":
        if self.min_mean_ink >= self.max_mean_ink:
            raise ValueError("min_mean_ink must be below max_mean_ink")
        return self


class Words(NamedTuple):
    """What a finding says: what is wrong, how to mend it, how a failing value is shown."""

    what: str
    hint: str
    value: str = ""


def usual_ranges(params: ValidateParams) -> list[tuple[str, float, float, Words]]:
    """Column of `expectations.raw_frame`, lowest and highest usual value, words for others."""
    low, high = params.min_mean_ink, params.max_mean_ink
    blank = Words("blank image", "nothing can be learned from it")
    hint = "is the contrast inverted, or the scale not 0…255?"
    ink = Words(f"mean ink outside {low:g}…{high:g}", hint, "{}")
    return [("contrast", 1, 255, blank), ("mean_ink", low, high, ink)]


def finding(
    part: str, unit: Unit, words: Words, count: int, examples: Sequence[tuple[int | str, Any]]
) -> str:
    """`train: label outside 0…9 in 2 rows: row 4 (label 10), row 9 (label 12); mend the labels`.

    `examples`: number or name, and value, of the first of `count` failing rows or classes.
    """
    units = unit if count == 1 else {"row": "rows", "class": "classes"}[unit]
    shown = [
        f"{unit} {number}" + (f" ({words.value.format(value)})" if words.value else "")
        for number, value in examples
    ]
    shown += ["…"] if count > len(examples) else []
    return f"{part}: {words.what} in {count} {units}: {', '.join(shown)}; {words.hint}"
