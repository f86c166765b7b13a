"""What the commands print of the registry: a decision of the gate, moves, and an origin."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING

from rich.table import Column, Table
from rich.text import Text

from digits.core.errors import printable
from digits.reporting.console import Terminal, print_json

if TYPE_CHECKING:  # these import MLflow
    from digits.evaluation.gate import Check
    from digits.registry.history import Move
    from digits.registry.promotion import Outcome
    from digits.registry.trace import Origin

FIGURES = {"holdout_accuracy": "accuracy", "champion_accuracy": "champion's", "worse_p_value": "p"}


def print_outcome(outcome: "Outcome", *, as_json: bool) -> None:
    """Print each check of a promotion, and whether the champion changed."""
    if as_json:
        print_json(outcome.as_dict())
        return
    if outcome.decision is None:
        print(f"version {outcome.version} is the champion already")
        return
    Terminal().print(checks_table(outcome.decision.checks))
    if outcome.moved:
        print(f"champion: version {outcome.champion or '(none)'} → version {outcome.version}")
    elif outcome.decision.accepted:
        print(f"{outcome.decision.challenger} would be promoted (dry run)")


def checks_table(checks: Sequence["Check"]) -> Table:
    """One row per check."""
    table = Table("check", "", *(Column(name, overflow="fold") for name in ("found", "allowed")))
    for check in checks:
        verdict = Text("ok", "green") if check.passed else Text("no", "red")
        table.add_row(check.name, verdict, check.found, check.allowed)
    return table


def print_moves(moves: Sequence["Move"], *, as_json: bool) -> None:
    """Print one row per move of the champion's alias."""
    if as_json:
        print_json([asdict(move) for move in moves])
        return
    if not moves:
        print("no champion yet; digits promote MODEL makes one")
        return
    when, what, values = (Column(name, no_wrap=True) for name in ("when (UTC)", "what", "figures"))
    by, why = (Column(name, min_width=8, overflow="fold") for name in ("by", "why"))
    table = Table("#", when, what, by, why, values)
    for move in moves:
        figures = move.figures
        known = {words: figures[name] for name, words in FIGURES.items() if name in figures}
        table.add_row(
            str(move.number),
            move.at[:16].replace("T", "\n"),
            f"{move.action} {move.before or '-'} → {move.after or '-'}",
            "\n".join(filter(None, [move.by, move.approval])),
            move.reason,
            "\n".join(f"{words} {value:.4g}" for words, value in known.items()),
        )
    Terminal().print(table)


def print_origin(origin: "Origin", *, as_json: bool) -> None:
    """Print one row per field."""
    if as_json:
        print_json(asdict(origin))
        return
    table = Table("", Column(overflow="fold"), show_header=False)
    for key, value in asdict(origin).items():
        if isinstance(value, dict):
            text = "\n".join(printable(f"{name} = {entry}") for name, entry in value.items())
        else:
            text = printable(", ".join(value) if isinstance(value, list) else str(value))
        table.add_row(key, text)
    Terminal().print(table)
