"""Results on the terminal."""

import json
from collections.abc import Sequence
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from digits.core.artifacts import ROOT
from digits.core.errors import printable
from digits.core.files import read_json
from digits.core.provenance import check_outputs
from digits.evaluation.caret_tables import Tables
from digits.evaluation.leaderboard import Comparison, Row, cells
from digits.evaluation.seeds import Group, Spread

COMPARISON = ROOT / "compare" / "comparison.json"


class Terminal(Console):
    """Rich's console for text from anywhere, which is neither markup nor control codes to it."""

    def __init__(self) -> None:
        super().__init__(highlight=False, markup=False, emoji=False)

    def render_str(self, text: str, **options: Any) -> Text:
        """Rich's own method; all text passes through it."""
        return super().render_str(lines(text), **options)


def lines(text: str) -> str:
    """`printable` for text of several lines."""
    return "\n".join(map(printable, text.split("\n")))


def print_json(value: object) -> None:
    """JSON for scripts."""
    print(lines(json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False)))


def print_results() -> None:
    """Print the comparison of the last `dvc repro`, and where to look further.

    Raises:
        DataError: nothing has been compared yet, or by another version of digits.
        IntegrityError: the comparison is not what dvc.lock records.
    """
    check_outputs([COMPARISON])
    comparison = read_json(COMPARISON, Comparison)
    console = Terminal()
    console.print(_results_table(comparison.models))
    for verdict in comparison.verdicts:
        console.print(printable(verdict))
    console.print("\nRuns, curves and confusion matrices side by side: make ui")
    console.print("Everything on one page: make report")


def print_statistics(tables: Tables) -> None:
    """Print caret's figures of one confusion matrix."""
    console = Terminal()
    console.print(tables.overall.to_string(header=False), "\n")
    console.print(tables.by_class.to_string(line_width=console.width))
    for note in tables.notes:
        console.print(printable(note))


def print_summary(groups: Sequence[Group]) -> None:
    """Print one table per group, a line per measure."""
    console = Terminal()
    for group in groups:
        seeds = ", ".join(group.seeds)
        heading = f"{group.label}: runs that differ in the seed only ({seeds})"
        console.print(printable(heading))
        table = Table("measure", "n", "mean", "sd", "minimum", "95 % interval of the mean")
        for measure, spread in group.spreads.items():
            table.add_row(measure, *_spread_cells(spread))
        console.print(table)
        if len(group.commits) > 1:
            commits = ", ".join(commit[:7] for commit in group.commits)
            console.print(printable(f"of {len(group.commits)} commits: {commits}"), "\n", sep="")


def _results_table(rows: list[Row]) -> Table:
    """One column per model, so that it fits a narrow terminal."""
    columns = cells(rows)
    table = Table("", *(column["model"] for column in columns))
    for heading in list(columns[0])[1:]:
        table.add_row(heading, *(column[heading] for column in columns))
    for column in table.columns[1:]:
        column.justify = "right"
    return table


def _spread_cells(spread: Spread) -> list[str]:
    if not spread.n:
        return ["0", *["n/a"] * 3, "n/a: trained on shared cores"]
    if spread.n == 1:
        return [str(spread.n), f"{spread.mean:.4f}", "n/a", f"{spread.minimum:.4f}", "n/a: one run"]
    return [
        str(spread.n),
        f"{spread.mean:.4f}",
        f"{spread.sd:.4f}",
        f"{spread.minimum:.4f}",
        f"{spread.low:.4f} to {spread.high:.4f}",
    ]
