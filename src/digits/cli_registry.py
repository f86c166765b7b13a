"""The commands of `digits` on the registry: who is champion, why, and what it was made from."""

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import TYPE_CHECKING, Annotated

import typer

from digits.cli_results import AsJson, app
from digits.core.errors import GateRefusedError, UsageError

if TYPE_CHECKING:
    from digits.params import Params

Reason = Annotated[str, typer.Option(help="Why; kept in the history.")]
ModelUri = Annotated[str, typer.Argument(metavar="models:/NAME/VERSION", show_default=False)]


@contextmanager
def connected(*, patient: bool = False) -> Iterator["Params"]:
    """The params; in the block MLflow uses the tracking store, for which a `patient` one waits."""
    from digits import params
    from digits.tracking import store

    loaded = params.load()
    with store.patient() if patient else nullcontext(), store.service_errors():
        store.connect()
        yield loaded


@app.command()
def promote(
    model: Annotated[str | None, typer.Argument(help="The model that was trained last.")] = None,
    run: Annotated[str | None, typer.Option(help="The MLflow run, in place of MODEL.")] = None,
    exp: Annotated[str | None, typer.Option(help="The DVC experiment that trained MODEL.")] = None,
    reason: Reason = "",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Judge only; write nothing.")] = False,
    approved_by: Annotated[str, typer.Option(help="Who approved; one more check.")] = "",
    rejected_by: Annotated[str, typer.Option(help="Who rejected; one more check.")] = "",
    as_json: AsJson = False,
) -> None:
    """Register a model as challenger, and make it champion if it passes the gate (else exit 5)."""
    if bool(model or exp) == bool(run):
        raise UsageError("digits promote: give MODEL, --exp NAME MODEL, or --run ID")
    if approved_by and rejected_by:
        raise UsageError("digits promote: give either --approved-by or --rejected-by")
    from digits.evaluation.gate import approval
    from digits.registry.promotion import promote_training
    from digits.reporting.console import print_outcome

    asked = approval(approved_by, rejected_by)
    with connected(patient=True) as params:
        outcome = promote_training(
            model, run, exp, params=params, reason=reason, dry_run=dry_run, approval=asked
        )
    print_outcome(outcome, as_json=as_json)
    if outcome.decision and not outcome.decision.accepted:
        failed = ", ".join(outcome.decision.failed)
        raise GateRefusedError(f"{outcome.decision.challenger}: refused by {failed}; nothing moved")


@app.command()
def rollback(
    to: Annotated[int | None, typer.Option(help="Version; by default the last champion.")] = None,
    reason: Reason = "",
    as_json: AsJson = False,
) -> None:
    """Make the previous champion, or another version, champion again."""
    from digits.registry import promotion
    from digits.reporting.console import print_moves

    version = None if to is None else str(to)
    with connected(patient=True) as params:
        move = promotion.rollback(params.project.name, to=version, reason=reason)
    print_moves([move], as_json=as_json)


@app.command()
def history(as_json: AsJson = False) -> None:
    """Who replaced whom as champion: when, why, and on what figures."""
    from digits.registry.versions import Registry
    from digits.reporting.console import print_moves

    with connected() as params:
        moves = Registry(params.project.name).moves()
    print_moves(moves, as_json=as_json)


@app.command()
def trace(uri: ModelUri, as_json: AsJson = False) -> None:
    """What a version was made from; ends with 7 if its files are not those that were logged."""
    from digits.registry.trace import check_unchanged, find_origin
    from digits.reporting.console import print_origin

    with connected():
        origin = find_origin(uri)
        print_origin(origin, as_json=as_json)
        check_unchanged(origin)  # last: if it fails, the origin is what one wants to see


@app.command()
def reproduce(
    uri: ModelUri,
    tolerance: Annotated[float, typer.Option(min=0, help="Of a probability.")] = 0.0,
) -> None:
    """Train a version again from its commit, data and params; exit 0 only if it answers alike."""
    from digits.registry.reproduce import reproduce_version

    with connected() as params:
        print(reproduce_version(uri, threads=params.train.threads, tolerance=tolerance))
