"""Decisions, champions and origins on the terminal, as tables or JSON."""

from collections.abc import Collection, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from rich.table import Column, Table
from rich.text import Text

from digits.core.errors import printable
from digits.evaluation.gate import Check
from digits.registry.history import Move
from digits.registry.promotion import Outcome
from digits.registry.trace import Origin
from digits.reporting.console import Terminal, print_json
from digits.scoring.pictures import TREATMENTS
from digits.scoring.prediction import Answer

if TYPE_CHECKING:
    from digits.scoring.score import Scored

SHOWN_FIGURES = {
    "holdout_accuracy": "accuracy",
    "champion_accuracy": "champion's",
    "worse_p_value": "p",
}


def print_outcome(outcome: Outcome, *, as_json: bool) -> None:
    """Every check with its figures, and what came of it."""
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


def checks_table(checks: Sequence[Check]) -> Table:
    """One row per check."""
    table = Table("check", "", *(Column(name, overflow="fold") for name in ("found", "allowed")))
    for check in checks:
        verdict = Text("ok", "green") if check.passed else Text("no", "red")
        table.add_row(check.name, verdict, check.found, check.allowed)
    return table


def print_moves(moves: Sequence[Move], *, as_json: bool) -> None:
    """One row per move of the champion's alias."""
    if as_json:
        print_json([asdict(move) for move in moves])
        return
    if not moves:
        print("no champion yet; digits promote MODEL makes one")
        return
    when, what, figures = (Column(name, no_wrap=True) for name in ("when (UTC)", "what", "figures"))
    by, why = (Column(name, min_width=8, overflow="fold") for name in ("by", "why"))
    table = Table("#", when, what, by, why, figures)
    for move in moves:
        table.add_row(
            str(move.number),
            move.at[:16].replace("T", "\n"),
            f"{move.action} {move.before or '-'} → {move.after or '-'}",
            "\n".join(filter(None, [move.by, move.approval])),
            move.reason,
            "\n".join(
                f"{SHOWN_FIGURES[name]} {value:.4g}"
                for name, value in move.figures.items()
                if name in SHOWN_FIGURES
            ),
        )
    Terminal().print(table)


def print_origin(origin: Origin, *, as_json: bool) -> None:
    """One row per fact."""
    if as_json:
        print_json(asdict(origin))
        return
    table = Table("", Column(overflow="fold"), show_header=False)
    for key, value in asdict(origin).items():
        table.add_row(key, _text(value))
    Terminal().print(table)


def print_answers(model: str, answers: Sequence[Answer], *, as_json: bool) -> None:
    """One line per picture: its class, and the probability of each."""
    if as_json:
        print_json({"model": model, "answers": [answer._asdict() for answer in answers]})
        return
    print(model)
    for answer in answers:
        shown = "  ".join(f"{k} {value:.3f}" for k, value in enumerate(answer.probabilities))
        print(f"{printable(answer.file)}: {answer.predicted}  ({shown})  {answer.picture}")
    _print_treatments({answer.picture for answer in answers})


def print_scored(scored: "Scored", *, as_json: bool) -> None:
    """How many rows, how fast, the classes found, and what drifted."""
    if as_json:
        print_json(scored.as_dict())
        return
    for warning in scored.warnings:
        print(f"warning: {printable(warning)}")
    table = Table("drift of", "effect", "p", "")
    for drift in scored.drift:
        verdict = Text("drifted", "red") if drift.drifted else "ok"
        table.add_row(drift.name, f"{drift.effect:.4f}", f"{drift.p_value:.3g}", verdict)
    if scored.drift:
        Terminal().print(table)
    else:
        print("drift: not known, artifacts/split is not what this model was trained on")
    print(
        f"{scored.rows:,} rows by {scored.model} at {scored.rows_per_s:,.0f} rows/s"
        f" → {printable(scored.output)}"
    )
    if scored.pictures:
        print(", ".join(f"{count:,} {how}" for how, count in scored.pictures.items()))
    _print_treatments(scored.pictures)


def _print_treatments(names: Collection[str]) -> None:
    """What the names mean that stand beside answers."""
    for name, meaning in TREATMENTS.items():
        if name in names:
            print(f"{name}: {meaning}")


def _text(value: Any) -> str:
    if isinstance(value, dict):
        return "\n".join(printable(f"{key} = {entry}") for key, entry in value.items())
    return printable(", ".join(value) if isinstance(value, list) else str(value))
