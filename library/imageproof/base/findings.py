"""How a finding about rows or classes is said."""

from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

SHOWN_ROWS = 5
Unit = Literal["row", "class"]


class Words(NamedTuple):
    """What a finding says: what is wrong, how to mend it, how a failing value is shown."""

    what: str
    hint: str
    value: str = ""


Usual = tuple[str, float, float, Words]  # a column, its usual range, and words for values outside


def finding(
    part: str, unit: Unit, words: Words, count: int, examples: Sequence[tuple[str, Any]]
) -> str:
    """`train: label outside 0…9 in 2 rows: row 4 (label 10), row 9 (label 12); mend the labels`.

    `examples`: name, and value, of the first of `count` failing rows or classes.
    """
    units = unit if count == 1 else {"row": "rows", "class": "classes"}[unit]
    shown = [
        name + (f" ({words.value.replace('{}', str(value))})" if words.value else "")
        for name, value in examples
    ]
    shown += ["…"] if count > len(examples) else []
    return f"{part}: {words.what} in {count} {units}: {', '.join(shown)}; {words.hint}"
