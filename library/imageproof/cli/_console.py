"""What the commands print: lines and tables for people, JSON for scripts."""

import os
from collections.abc import Iterator, Sequence
from dataclasses import asdict, astuple
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table
from rich.text import Text

from imageproof.base import files
from imageproof.base._addresses import public
from imageproof.base._naming import project_name
from imageproof.cli._lazy import Lazy
from imageproof.system._console import table

if TYPE_CHECKING:  # these import MLflow or SciPy, which takes a second
    from imageproof.answer._monitor import MonitorResult
    from imageproof.answer._predict import Answer
    from imageproof.judge import _caret
    from imageproof.judge._seeds import Group
    from imageproof.registry import _history, _promotion, _version
    from imageproof.serve._package import Package

SHOWN = 10  # classes, the most probable or those that were predicted most often

artifacts = Lazy("artifacts")
caret_tables = Lazy("judge._caret")
figures = Lazy("judge._figures")
leaderboard = Lazy("judge._leaderboard")
monitoring = Lazy("answer._monitor")
outputs = Lazy("outputs")
pictures = Lazy("pictures._conversion")
provenance = Lazy("dvc.provenance")

Lines = Iterator[str | Table]


def result_lines() -> Lines:
    workspace = artifacts.WORKSPACE
    provenance.check_outputs([workspace.comparison])
    comparison = files.read_json(workspace.comparison, leaderboard.Comparison)
    # one column per model, so that it fits a narrow terminal
    columns = leaderboard.cells(comparison.models, comparison.baseline)
    names = [column.pop("model") for column in columns]
    rows = [(heading, *(column[heading] for column in columns)) for heading in columns[0]]
    yield table(["", *names], rows, justify="right")
    for heading, meaning in figures.column("meaning", by="table").items():
        if heading in columns[0]:
            yield f"{heading}: {meaning}"
    yield ""
    yield from comparison.verdicts
    for row in comparison.models:
        run = workspace.trained(row.model).run
        if run.exists() and files.read_json(run, outputs.RunRecord).run_id != row.run_id:
            yield f"{row.model} was trained again since: `{project_name()} run` compares it anew"
    yield ""
    store = os.environ.get("MLFLOW_TRACKING_URI", "")
    # `make ui` shows the file in the project's folder, never what a server has
    runs = public(store) if store.startswith("http") else "make ui"
    yield f"make report shows everything on one page, {runs} the runs."


def summary_lines(groups: "Sequence[Group]") -> Lines:
    headings = ("measure", "n", "mean", "sd", "minimum", "95 % interval of the mean")
    for group in groups:
        seeds = ", ".join(group.seeds)
        commits = f", of {len(group.commits)} commits" * (len(group.commits) > 1)
        yield f"{group.label}: runs that differ in the seed only ({seeds}){commits}"
        rows = []
        for name, (n, *values) in group.measures.items():
            *cells, low, high = ("n/a" if value is None else f"{value:.4f}" for value in values)
            rows.append([name, str(n), *cells, f"{low} to {high}"])
        yield table(headings, rows)
    yield "n/a: a single run, or trained on shared cores"


def statistics_lines(statistics: "_caret.Statistics") -> Lines:
    tables = caret_tables.as_tables(statistics)
    yield from tables.overall.to_string(header=False).split("\n")
    yield ""
    yield from tables.by_class.to_string(line_width=Console().width).split("\n")
    yield from tables.notes


def answer_lines(
    model: str,
    answers: Sequence["Answer"],
    names: Sequence[str],
    coverage: float,
) -> Lines:
    yield f"{model}, answers with {100 * coverage:g} % coverage"
    for answer in answers:
        verdict = " or ".join(answer.answer_names)
        if answer.unsure:
            verdict = f"unsure, most probably {answer.predicted_name}"
        pairs = [*zip(names, answer.probabilities, strict=True)]
        if len(pairs) > SHOWN:
            pairs = sorted(pairs, key=lambda pair: -pair[1])[:SHOWN]
            pairs = [pair for pair in pairs if pair[1] >= 0.0005]  # not 0.000
        probabilities = "  ".join(f"{name} {value:.3f}" for name, value in pairs)
        yield f"{answer.file}: {verdict}  ({probabilities})  {answer.picture}"
    for treatment in sorted({answer.picture for answer in answers}):
        yield f"{treatment}: {pictures.TREATMENTS[treatment]}"


def package_lines(package: "Package") -> Lines:
    yield (
        f"{package.model} → {package.folder}: {package.rows:,} hold-out rows get"
        f" the model's classes, probabilities within {package.largest_difference:.1g}"
    )
    yield f"SHA-256 of the folder: {package.sha256}"
    yield "serve it there with: python -P -m imageproof.serve"


def monitor_lines(result: "MonitorResult", verdicts: Sequence[str], page: Path) -> Lines:
    for warning in result.warnings:
        yield f"warning: {warning}"
    rows = []
    for name, effect, p_value, drifted in map(astuple, result.drift):
        verdict = Text("drifted", "red") if drifted else Text("ok")
        rows.append((monitoring.TITLES[name], f"{effect:.4f}", f"{p_value:.3g}", verdict))
    if rows:
        yield table(("drift of", "effect", "p", ""), rows)
    yield from verdicts
    yield f"{100 * result.unsure:.2f} % of the answers are unsure."
    left_out = f", {result.other_rows:,} by other versions left out" if result.other_rows else ""
    yield f"rows: {result.rows:,}, by {result.model}{left_out} → {page}"


def outcome_lines(outcome: "_promotion.Outcome") -> Lines:
    decision = outcome.decision
    if not decision:
        yield f"version {outcome.version} is the champion already"
        return
    verdicts = {True: Text("ok", "green"), False: Text("no", "red")}
    rows = [
        (check.name, verdicts[check.passed], check.found, check.allowed)
        for check in decision.checks
    ]
    yield table(("check", "", "found", "allowed"), rows)
    if decision.note:
        yield decision.note
    if outcome.move:
        yield f"champion: {outcome.champion or 'none'} → version {outcome.version}"
    elif decision.accepted:
        yield f"{decision.challenger} would be promoted (dry run)"


def move_lines(moves: Sequence["_history.Move"]) -> Lines:
    headings = figures.column("history")
    for move in moves:
        change = f"{move.at}  {move.action} {move.before or '-'} → {move.after or '-'}"
        values = [
            f"{headings[key]} {value:.4g}" for key, value in move.figures.items() if key in headings
        ]
        reasons = (move.by, move.approval, ", ".join(values), move.reason)
        yield f"{move.number}  {change}  {' · '.join(filter(None, reasons))}"
    if not moves:
        yield f"no champion yet; {project_name()} promote MODEL makes one"


def origin_lines(origin: "_version.Origin") -> Lines:
    fields = files.flatten(asdict(origin) | {"aliases": ", ".join(origin.aliases)})
    rows = [(name, str(value)) for name, value in fields.items()]
    yield table(("field", "value"), rows)
