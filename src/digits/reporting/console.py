"""What the commands print: tables for people, JSON for scripts."""

import json
import os
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Column, Table
from rich.text import Text

from digits.core.addresses import public
from digits.core.artifacts import COMPARISON
from digits.core.errors import printable
from digits.core.files import read_json
from digits.core.provenance import check_outputs
from digits.evaluation.leaderboard import Comparison, cells

if TYPE_CHECKING:  # these import MLflow or SciPy, which takes a second
    from digits.evaluation.caret import Statistics
    from digits.evaluation.drift import Drift
    from digits.evaluation.seeds import Group
    from digits.registry.history import Move
    from digits.registry.promotion import Outcome
    from digits.registry.trace import Origin
    from digits.scoring.monitor import MonitorResult
    from digits.scoring.predict import Answer
    from digits.scoring.score import ScoreResult
    from digits.serving.package import Package

FIGURES = {"holdout_accuracy": "accuracy", "champion_accuracy": "champion's", "worse_p_value": "p"}


class Terminal(Console):
    """Rich's console without markup, and with control codes escaped."""

    def __init__(self) -> None:
        super().__init__(highlight=False, markup=False, emoji=False)

    def render_str(self, text: str, **options: Any) -> Text:
        return super().render_str(_lines(text), **options)


def print_json(value: object) -> None:
    """JSON for scripts."""
    print(_lines(json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False)))


def _lines(text: str) -> str:
    return "\n".join(map(printable, text.split("\n")))


def print_results() -> None:
    """Print the comparison of the last `dvc repro`, and how to see more."""
    check_outputs([COMPARISON])
    comparison = read_json(COMPARISON, Comparison)
    console = Terminal()
    columns = cells(comparison.models)  # one per model, so that it fits a narrow terminal
    table = Table("", *(Column(column.pop("model"), justify="right") for column in columns))
    for heading in columns[0]:
        table.add_row(heading, *(column[heading] for column in columns))
    console.print(table)
    console.print(*map(printable, comparison.verdicts), sep="\n")
    server = os.environ.get("MLFLOW_TRACKING_URI", "")
    where = public(server) if server.startswith("http") else "make ui"
    console.print(f"\nRuns, curves and confusion matrices side by side: {where}")
    console.print("Everything on one page: make report")


def print_statistics(statistics: "Statistics", *, as_json: bool) -> None:
    """Print caret's statistics of one confusion matrix."""
    from digits.evaluation.caret import as_tables

    if as_json:
        print_json(statistics._asdict())
        return
    tables, console = as_tables(statistics), Terminal()
    console.print(tables.overall.to_string(header=False), "\n")
    console.print(tables.by_class.to_string(line_width=console.width))
    for note in tables.notes:
        console.print(printable(note))


def print_summary(groups: "Sequence[Group]", *, as_json: bool) -> None:
    """Print one table per group, a line per measure."""
    from digits.evaluation.seeds import as_dicts

    if as_json:
        print_json(as_dicts(groups))
        return
    console = Terminal()
    for group in groups:
        seeds = ", ".join(group.seeds)
        console.print(printable(f"{group.label}: runs that differ in the seed only ({seeds})"))
        table = Table("measure", "n", "mean", "sd", "minimum", "95 % interval of the mean")
        for measure, spread in group.measures.items():
            n, interval = str(spread.n), f"{spread.low:.4f} to {spread.high:.4f}"
            cells = [f"{value:.4f}" for value in (spread.mean, spread.sd, spread.minimum)]
            if spread.n == 0:
                cells, interval = ["n/a"] * 3, "n/a: trained on shared cores"
            elif spread.n == 1:
                cells[1], interval = "n/a", "n/a: one run"
            table.add_row(measure, n, *cells, interval)
        console.print(table)
        if len(group.commits) > 1:
            commits = ", ".join(commit[:7] for commit in group.commits)
            console.print(printable(f"of {len(group.commits)} commits: {commits}"), "\n", sep="")


def print_answers(
    model: str, answers: Sequence["Answer"], *, coverage: float, as_json: bool
) -> None:
    """Print one line per picture: its answer set, and the probability of each class."""
    from digits.scoring.pictures import TREATMENTS

    if as_json:
        found = [answer._asdict() for answer in answers]
        print_json({"model": model, "coverage": coverage, "answers": found})
        return
    print(f"{model}, answers with {100 * coverage:g} % coverage")
    for answer in answers:
        said = " or ".join(map(str, answer.answer_set))
        if answer.unsure:
            said = f"unsure, most probably {answer.predicted}"
        chances = "  ".join(f"{k} {value:.3f}" for k, value in enumerate(answer.probabilities))
        print(f"{printable(answer.file)}: {said}  ({chances})  {answer.picture}")
    for name in sorted({answer.picture for answer in answers}):
        print(f"{name}: {TREATMENTS[name]}")


def print_package(package: "Package", *, as_json: bool) -> None:
    """Print where a package lies, and how its answers were compared with the model's."""
    if as_json:
        print_json({**package._asdict(), "folder": str(package.folder)})
        return
    print(
        f"{package.model} → {printable(str(package.folder))}: {package.rows:,} hold-out rows get"
        f" the model's classes, probabilities within {package.largest_difference:.1g}"
    )
    print(f"serve it there with: python -m digits.serving   (SHA-256 {package.sha256[:12]})")


def print_scored(result: "ScoreResult", *, as_json: bool) -> None:
    """Print warnings, drift, the number of rows and the rate."""
    if as_json:
        print_json(asdict(result))
    else:
        _print_found(result.warnings, result.drift)
        print(
            f"{result.rows:,} rows by {result.model} at {result.rows_per_s:,.0f} rows/s"
            f" → {printable(result.output)}"
        )
        if result.files > 1:
            print(f"{result.files:,} files, {result.kept:,} of them kept from before")
        sets = f"answer sets with {100 * result.coverage:g} % coverage"
        print(f"{100 * result.unsure:.2f} % unsure, by {sets}")


def print_monitored(result: "MonitorResult", page: Path, *, as_json: bool) -> None:
    """Print warnings, drift, shares and accuracy, and where the page is."""
    from digits.reporting.page.monitor import verdicts

    if as_json:
        print_json(asdict(result))
    else:
        _print_found(result.warnings, result.drift)
        print(*verdicts(result), sep="\n")
        print(f"{100 * result.unsure:.2f} % of the answers are unsure.")
        others = f", {result.other_rows:,} by other versions left out" if result.other_rows else ""
        print(f"{result.rows:,} rows by {result.model}{others} → {page}")


def print_outcome(outcome: "Outcome", *, as_json: bool) -> None:
    """Print each check of a promotion, and whether the champion changed."""
    if as_json:
        print_json(outcome.as_dict())
    elif outcome.decision is None:
        print(f"version {outcome.version} is the champion already")
    else:
        columns = (Column(name, overflow="fold") for name in ("found", "allowed"))
        table = Table("check", "", *columns)
        for check in outcome.decision.checks:
            verdict = Text("ok", "green") if check.passed else Text("no", "red")
            table.add_row(check.name, verdict, check.found, check.allowed)
        Terminal().print(table)
        if outcome.moved:
            print(f"champion: version {outcome.champion or '(none)'} → version {outcome.version}")
        elif outcome.decision.accepted:
            print(f"{outcome.decision.challenger} would be promoted (dry run)")


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
        known = [(FIGURES[k], value) for k, value in move.figures.items() if k in FIGURES]
        table.add_row(
            str(move.number),
            move.at[:16].replace("T", "\n"),
            f"{move.action} {move.before or '-'} → {move.after or '-'}",
            "\n".join(filter(None, [move.by, move.approval])),
            move.reason,
            "\n".join(f"{words} {value:.4g}" for words, value in known),
        )
    Terminal().print(table)


def print_origin(origin: "Origin", *, as_json: bool) -> None:
    """Print one row per field."""
    if as_json:
        print_json(asdict(origin))
    else:
        table = Table("", Column(overflow="fold"), show_header=False)
        for key, value in asdict(origin).items():
            if isinstance(value, dict):
                text = "\n".join(printable(f"{name} = {entry}") for name, entry in value.items())
            else:
                text = printable(", ".join(value) if isinstance(value, list) else str(value))
            table.add_row(key, text)
        Terminal().print(table)


def _print_found(warnings: Sequence[str], found: Sequence["Drift"]) -> None:
    for warning in warnings:
        print(f"warning: {printable(warning)}")
    table = Table("drift of", "effect", "p", "")
    for drift in found:
        verdict = Text("drifted", "red") if drift.drifted else "ok"
        table.add_row(drift.name, f"{drift.effect:.4f}", f"{drift.p_value:.3g}", verdict)
    unknown = "drift: not known, artifacts/split is not what this model was trained on"
    Terminal().print(table if found else unknown, soft_wrap=not found)
