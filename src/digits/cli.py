"""`digits …`: what is not a stage."""

from pathlib import Path
from typing import Annotated

import typer

from digits.commands import registry
from digits.core import process

app = typer.Typer(
    help="Versioned data, tracked training and honest comparison of image classifiers.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

app.add_typer(registry.app)

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]

# Heavy modules are imported by the command that needs them, so that `digits --help` is quick.


@app.callback()
def _options(
    debug: Annotated[bool, typer.Option("--debug", help="Show tracebacks.")] = False,
) -> None:
    process.show_tracebacks(debug)


@app.command()
def results() -> None:
    """Print the table of results of the last `dvc repro`."""
    from digits.reporting.console import print_results

    print_results()


@app.command()
def restore() -> None:
    """Log every recorded training that the tracking store does not know, from DVC's outputs."""
    from digits.reporting.restoration import restore_all

    restore_all()


@app.command()
def stats(
    matrix: Annotated[Path, typer.Argument(metavar="MATRIX.csv")], as_json: AsJson = False
) -> None:
    """Print caret's statistics of a confusion matrix: rows prediction, columns reference."""
    from digits.evaluation.caret import statistics
    from digits.evaluation.caret_tables import as_dict, as_tables
    from digits.evaluation.confusion_csv import read_matrix
    from digits.reporting.console import print_json, print_statistics

    found = read_matrix(matrix)
    judged = statistics(found.matrix, classes=found.classes)
    if as_json:
        print_json(as_dict(judged))
    else:
        print_statistics(as_tables(judged))


@app.command()
def summary(
    as_json: AsJson = False,
    picture: Annotated[Path, typer.Option(help="Where to draw the error bars.")] = Path(
        "artifacts/summary.png"
    ),
) -> None:
    """Mean, spread and 95 % interval of runs that differ in nothing but the seed."""
    from digits.core.errors import DataError, printable
    from digits.evaluation.seeds import MEASURES, as_dicts, groups
    from digits.reporting import plots
    from digits.reporting.console import print_json, print_summary
    from digits.tracking.runs import finished_runs

    found = groups(finished_runs())
    if not found:
        raise DataError(
            "MLflow: no finished run with an evaluation yet (restored ones do not count);"
            " `dvc repro` makes them"
        )
    bars = {
        measure: [
            plots.Interval(group.label, spread.n, spread.mean, spread.low, spread.high)
            for group in found
            for spread in [group.spreads[measure]]
            if spread.n
        ]
        for measure in MEASURES
    }
    plots.save(plots.error_bars(bars, title="Over seeds: mean and 95 % interval"), picture)
    if as_json:
        print_json(as_dicts(found))
    else:
        print_summary(found)
        print(f"picture: {printable(str(picture))}")


def main() -> None:
    """Entry point of the `digits` command."""
    process.run(app)
