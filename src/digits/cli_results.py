"""The commands of `digits` on the pipeline's results; each imports what only it needs."""

import os
from importlib.metadata import version
from pathlib import Path
from typing import Annotated

import typer

from digits.core.errors import DataError, UsageError

SUMMARY = Path("artifacts/summary.png")
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]

app = typer.Typer(
    help="Versioned data, tracked training and honest comparison of image classifiers.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _print_version(wanted: bool) -> None:
    if wanted:
        print(version("digits"))
        raise typer.Exit


@app.callback()
def _options(
    debug: Annotated[bool, typer.Option("--debug", help="Show tracebacks.")] = False,
    _: Annotated[bool, typer.Option("--version", callback=_print_version, is_eager=True)] = False,
) -> None:
    if debug:
        os.environ["DIGITS_DEBUG"] = "1"  # read by child processes, too


@app.command()
def run() -> None:
    """Run with DVC what changed, showing how far it is; then print the table of results."""
    from digits import params
    from digits.reporting.console import print_results
    from digits.running.run import run_pipeline

    loaded = params.load()
    ran = run_pipeline(Path.cwd(), loaded)
    if not ran.issuperset(f"evaluate@{model}" for model in loaded.models):
        restore()
    print_results()


@app.command()
def results() -> None:
    """Print the table of results of the last `dvc repro`."""
    from digits.reporting.console import print_results

    print_results()


@app.command()
def restore() -> None:
    """Log every recorded training that the tracking store does not know, from DVC's outputs."""
    from digits.tracking.restore import restore_all

    restore_all()


@app.command()
def stats(
    matrix: Annotated[Path, typer.Argument(metavar="MATRIX.csv")], as_json: AsJson = False
) -> None:
    """Print caret's statistics of a confusion matrix: rows prediction, columns reference."""
    from digits.evaluation.caret import statistics
    from digits.evaluation.confusion_csv import read_matrix
    from digits.reporting.console import print_statistics

    counts, classes = read_matrix(matrix)
    print_statistics(statistics(counts, classes=classes), as_json=as_json)


@app.command()
def summary(
    last: Annotated[int, typer.Option(min=1, max=10_000, help="How many runs to look at.")] = 100,
    as_json: AsJson = False,
) -> None:
    """Mean, spread and 95 % interval of the newest runs that differ in nothing but the seed."""
    from digits.evaluation.seeds import groups
    from digits.reporting.console import print_summary
    from digits.reporting.plots.comparison import error_bars
    from digits.reporting.plots.theme import save
    from digits.tracking.runs import evaluated_runs

    if not (seed_groups := groups(evaluated_runs(last))):
        none = "MLflow: no finished run with an evaluation yet (restored ones do not count)"
        raise DataError(f"{none}; `dvc repro` makes them")
    save(error_bars(seed_groups, title="Over seeds: mean and 95 % interval"), SUMMARY)
    print_summary(seed_groups, as_json=as_json)
    if not as_json:
        print(f"picture: {SUMMARY}")


@app.command()
def diff(
    old: Annotated[str, typer.Argument(metavar="REV", help="Commit, branch, tag, experiment.")],
    new: Annotated[str | None, typer.Argument(metavar="REV2", help="Else the workspace.")] = None,
    as_json: AsJson = False,
    as_markdown: Annotated[bool, typer.Option("--markdown", help="For a pull request.")] = False,
    out: Annotated[Path | None, typer.Option(help="Folder for diff.md and its pictures.")] = None,
) -> None:
    """Say of each model whether its results are better than at another git revision."""
    if as_json and as_markdown:
        raise UsageError("digits diff: give either --json or --markdown")
    from digits.reporting.diff.collect import collect_diff
    from digits.reporting.diff.render import print_diff, write_page

    collected = collect_diff(old, new, out)
    if out:
        write_page(collected, out)
    print_diff(collected, as_json=as_json, as_markdown=as_markdown)
