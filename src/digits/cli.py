"""`digits …`: what is not a stage."""

from typing import Annotated

import typer

from digits import process

app = typer.Typer(
    help="Versioned data, tracked training and honest comparison of image classifiers.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

# Heavy modules are imported by the command that needs them, so that `digits --help` is quick.


@app.callback()
def _options(debug: Annotated[bool, typer.Option(help="Show tracebacks.")] = False) -> None:
    process.show_tracebacks(debug)


@app.command()
def results() -> None:
    """Print the table of results of the last `dvc repro`."""
    from digits.show import print_results

    print_results()


@app.command()
def restore() -> None:
    """Log every recorded training that the tracking store does not know, from DVC's outputs."""
    from digits.restoration import restore_all

    restore_all()


def main() -> None:
    """Entry point of the `digits` command."""
    process.run(app)
