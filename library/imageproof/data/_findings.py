"""How a finding about rows or classes is said."""

from collections.abc import Sequence
from typing import Any, NamedTuple

SHOWN_ROWS = 5


class Message(NamedTuple):
    """What a finding says: what is wrong, how to mend it, how a failing value is shown."""

    what: str
    hint: str
    value: str = ""


# a column, the range of its values, and the message for values outside
ExpectedRange = tuple[str, float, float, Message]


def finding(
    part: str,
    unit: str,
    message: Message,
    count: int,
    examples: Sequence[tuple[str, Any]],
) -> str:
    """`train: label outside 0…9 in 2 rows: row 4 (label 10), row 9 (label 12); mend the labels`.

    `examples`: name, and value, of the first of `count` failing rows or classes.
    """
    units = unit if count == 1 else {"row": "rows", "class": "classes"}[unit]
    names = []
    for name, value in examples:
        text = message.value.replace("{}", str(value))
        names.append(f"{name} ({text})" if text else name)
    if count > len(examples):
        names.append("…")
    return f"{part}: {message.what} in {count} {units}: {', '.join(names)}; {message.hint}"
