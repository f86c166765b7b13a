"""Tables for people, JSON for scripts, on standard output."""

import json
from collections.abc import Iterable, Sequence
from typing import Literal

from rich.console import Console
from rich.table import Column, Table
from rich.text import Text

from imageproof.base.text import printable_lines


def print_json(value: object) -> None:
    print(printable_lines(json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False)))


def print_table(
    headings: Sequence[str],
    rows: Iterable[Sequence[str | Text]],
    *,
    justify: Literal["left", "right"] = "left",
) -> None:
    """Print a table; `justify` is that of all columns but the first."""
    columns = [Column(heading, overflow="fold", justify=justify) for heading in headings]
    columns[0].justify = "left"
    table = Table(*columns)
    for row in rows:
        table.add_row(
            *(Text(printable_lines(cell)) if isinstance(cell, str) else cell for cell in row)
        )
    Console(markup=False, highlight=False, emoji=False).print(table)
