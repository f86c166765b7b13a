"""Lines and tables for people, JSON for scripts, on standard output."""

import json
import sys
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from typing import Literal

from rich.console import Console
from rich.table import Column, Table
from rich.text import Text

from imageproof.base.text import printable, printable_lines


def show(
    lines: Iterable[str | Table],
    record: object = None,
    *,
    as_json: bool = False,
) -> None:
    """Print the lines and tables of a result, or its record (dicts, dataclasses, lists) as JSON."""
    if as_json:
        escaped = sys.stdout.encoding != "utf-8"  # what is escaped for another one is no JSON
        text = json.dumps(record, default=asdict, indent=2, ensure_ascii=escaped, allow_nan=False)
        lines = text.split("\n")
    console = Console(markup=False, highlight=False, emoji=False)
    for line in lines:
        if isinstance(line, str):
            print(printable(line))
        else:
            console.print(line)


def table(
    headings: Sequence[str],
    rows: Iterable[Sequence[str | Text]],
    *,
    justify: Literal["left", "right"] = "left",
) -> Table:
    """A table; `justify` is that of all columns but the first."""
    columns = [Column(heading, overflow="fold", justify=justify) for heading in headings]
    columns[0].justify = "left"
    table = Table(*columns)
    for row in rows:
        table.add_row(
            *(Text(printable_lines(cell)) if isinstance(cell, str) else cell for cell in row)
        )
    return table
