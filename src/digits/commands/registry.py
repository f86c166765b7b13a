"""The champion: promoted, undone, looked at, reproduced, asked, and shown on a page."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from digits.core.errors import GateRefusedError, UsageError

if TYPE_CHECKING:
    from digits.registry.promotion import Outcome

app = typer.Typer()

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]
Reason = Annotated[str, typer.Option(help="Why; kept in the history.")]
ModelUri = Annotated[str, typer.Argument(metavar="models:/NAME/VERSION", show_default=False)]


@app.command()
def promote(
    model: Annotated[str | None, typer.Argument(help="The model that was trained last.")] = None,
    run: Annotated[str | None, typer.Option(help="The MLflow run, in place of MODEL.")] = None,
    exp: Annotated[
        str | None,
        typer.Option(help="The DVC experiment; MODEL says which training, if it has several."),
    ] = None,
    reason: Reason = "",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Judge only; write nothing.")] = False,
    approved_by: Annotated[str, typer.Option(help="Who approved; one more check.")] = "",
    rejected_by: Annotated[str, typer.Option(help="Who rejected; one more check.")] = "",
    as_json: AsJson = False,
) -> None:
    """Register a model as challenger, and make it champion if it passes the gate (else exit 5)."""
    if bool(model or exp) == bool(run):
        raise UsageError("digits promote: give MODEL, --exp NAME [MODEL], or --run ID")
    if approved_by and rejected_by:
        raise UsageError("digits promote: give either --approved-by or --rejected-by")
    from digits.commands.champion import connected
    from digits.evaluation.gate import approval
    from digits.registry.promotion import promote_training

    with connected() as params:
        outcome = promote_training(
            model,
            run,
            exp,
            params=params,
            reason=reason,
            dry_run=dry_run,
            approval=approval(approved_by, rejected_by),
        )
    _print_outcome(outcome, as_json)


@app.command()
def rollback(
    to: Annotated[int | None, typer.Option(help="Version; by default the last champion.")] = None,
    reason: Reason = "",
    as_json: AsJson = False,
) -> None:
    """Make the previous champion, or another version, champion again."""
    from digits.commands.champion import connected
    from digits.registry.promotion import rollback
    from digits.reporting.registry_console import print_moves

    with connected() as params:
        version = None if to is None else str(to)
        move = rollback(params.registry.name, to=version, reason=reason)
    print_moves([move], as_json=as_json)


@app.command()
def history(as_json: AsJson = False) -> None:
    """Who replaced whom as champion: when, why, and on what figures."""
    from digits.commands.champion import connected
    from digits.registry.versions import Registry
    from digits.reporting.registry_console import print_moves

    with connected() as params:
        moves = Registry(params.registry.name).moves()
    print_moves(moves, as_json=as_json)


@app.command()
def trace(uri: ModelUri, as_json: AsJson = False) -> None:
    """The code, data, params, run and environment that a version was made from.

    Ends with 7 if its files are not those that were logged.
    """
    from digits.commands.champion import connected
    from digits.registry.trace import check_unchanged, find_origin
    from digits.reporting.registry_console import print_origin

    with connected():
        origin = find_origin(uri)
        print_origin(origin, as_json=as_json)
        check_unchanged(origin)  # last: if it fails, the origin is what one wants to see


@app.command()
def reproduce(
    uri: ModelUri,
    tolerance: Annotated[
        float, typer.Option(min=0, help="Largest difference of a probability that passes.")
    ] = 0.0,
) -> None:
    """Train a version again from its commit, data and params; exit 0 only if it answers alike."""
    from digits.commands.champion import connected
    from digits.registry.reproduce import reproduce_version

    with connected() as params:
        print(reproduce_version(uri, threads=params.train.threads, tolerance=tolerance))


@app.command()
def predict(
    files: Annotated[list[Path], typer.Argument(help="PNG or JPEG.")],
    model: Annotated[str | None, typer.Option(help="models:/…; by default the champion.")] = None,
    as_json: AsJson = False,
) -> None:
    """Name the class of each picture, with the probability of every class."""
    from digits.scoring.prediction import check_pictures

    check_pictures(files)
    from digits.commands.champion import predict as answer
    from digits.reporting.registry_console import print_answers

    name, answers = answer(files, model)
    print_answers(name, answers, as_json=as_json)


@app.command()
def score(
    source: Annotated[Path, typer.Argument(metavar="INPUT", help="Folder, CSV or npz.")],
    out: Annotated[Path, typer.Option(help="Parquet file to write.")] = Path("predictions.parquet"),
    model: Annotated[str | None, typer.Option(help="models:/…; by default the champion.")] = None,
    as_json: AsJson = False,
) -> None:
    """Validate images, predict them in batches to Parquet, and look for drift."""
    from digits.commands.champion import score as score_all
    from digits.reporting.registry_console import print_scored

    print_scored(score_all(source, out, model), as_json=as_json)


@app.command()
def demo(
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 is any that is free.")] = 7860,
    browser: Annotated[bool, typer.Option("--browser", help="Open it in the browser.")] = False,
) -> None:
    """A page to draw a digit on, and see what champion and challenger make of it."""
    from webbrowser import open_new_tab

    from digits.commands.champion import demo as show

    def announce(address: str) -> None:
        print(f"{address}   Ctrl-C ends it", flush=True)
        if browser:
            open_new_tab(address)

    show(port, announce=announce)


@app.command()
def serve(
    model: Annotated[
        str | None, typer.Argument(metavar="models:/NAME/VERSION", help="By default the champion.")
    ] = None,
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 is any that is free.")] = 5001,
) -> None:
    """Answer as `mlflow models serve` does, with files that are those that were logged."""
    from digits.commands.champion import serve as answer

    answer(model, port, announce=lambda text: print(f"{text}   Ctrl-C ends it", flush=True))


def _print_outcome(outcome: "Outcome", as_json: bool) -> None:
    from digits.reporting.registry_console import print_outcome

    print_outcome(outcome, as_json=as_json)
    if outcome.decision and not outcome.decision.accepted:
        failed = ", ".join(outcome.decision.failed)
        raise GateRefusedError(f"{outcome.decision.challenger}: refused by {failed}; nothing moved")
