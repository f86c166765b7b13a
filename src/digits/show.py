"""Results on the terminal."""

from rich.console import Console
from rich.table import Table

from digits.errors import DataError
from digits.files import read_json
from digits.outputs import ROOT
from digits.results import Row, cells

COMPARISON = ROOT / "compare" / "comparison.json"


def print_results() -> None:
    """Print the comparison of the last `dvc repro`, and where to look further.

    Raises:
        DataError: nothing has been compared yet.
    """
    try:
        comparison = read_json(COMPARISON)
    except FileNotFoundError:
        raise DataError(f"{COMPARISON}: not found; `dvc repro` makes it") from None
    console = Console()
    console.print(results_table([Row(**model) for model in comparison["models"]]))
    for verdict in comparison["verdicts"]:
        console.print(verdict)
    console.print("\nRuns, curves and confusion matrices side by side: [bold]make ui[/bold]")


def results_table(rows: list[Row]) -> Table:
    """One column per model, so that it fits a narrow terminal."""
    columns = cells(rows)
    table = Table("", *(column["model"] for column in columns))
    for heading in list(columns[0])[1:]:
        table.add_row(heading, *(column[heading] for column in columns))
    for column in table.columns[1:]:
        column.justify = "right"
    return table
