"""What the commands print: tables for people, JSON for scripts."""

from collections.abc import Sequence
from dataclasses import asdict, astuple
from pathlib import Path
from typing import TYPE_CHECKING

from rich.text import Text

from imageproof.base._naming import project_name
from imageproof.base.text import printable, printable_lines
from imageproof.cli._lazy import Lazy
from imageproof.system._console import print_json, print_table

if TYPE_CHECKING:  # these import MLflow or SciPy, which takes a second
    from imageproof.answer._monitor import MonitorResult
    from imageproof.answer._predict import Answer
    from imageproof.answer._score import ScoreResult
    from imageproof.judge import _caret, drift
    from imageproof.judge._seeds import Group
    from imageproof.registry import _history, _promotion, _version
    from imageproof.serve._package import Package

SHOWN = 10  # classes, the most probable or those that were predicted most often

artifacts = Lazy("artifacts")
caret_tables = Lazy("judge._caret")
files = Lazy("base.files")
figures = Lazy("judge._figures")
leaderboard = Lazy("judge._leaderboard")
monitoring = Lazy("answer._monitor")
outputs = Lazy("outputs")
pictures = Lazy("pictures._conversion")
provenance = Lazy("dvc.provenance")


def print_results() -> None:
    workspace = artifacts.WORKSPACE
    provenance.check_outputs([workspace.comparison])
    comparison = files.read_json(workspace.comparison, leaderboard.Comparison)
    # one column per model, so that it fits a narrow terminal
    columns = leaderboard.cells(comparison.models, comparison.baseline)
    names = [column.pop("model") for column in columns]
    rows = [(heading, *(column[heading] for column in columns)) for heading in columns[0]]
    print_table(["", *names], rows, justify="right")
    for heading, meaning in figures.column("meaning", by="table").items():
        if heading in columns[0]:
            print(f"{heading}: {meaning}")
    print("", *map(printable, comparison.verdicts), sep="\n")
    for row in comparison.models:
        run = workspace.trained(row.model).run
        if run.exists() and files.read_json(run, outputs.RunRecord).run_id != row.run_id:
            print(f"{row.model} was trained again since: `{project_name()} run` compares it anew")
    print("\nmake report shows everything on one page, make ui the runs side by side.")


def print_summary(groups: "Sequence[Group]", *, as_json: bool) -> None:
    if as_json:
        records = [
            group._asdict()
            | {"measures": {name: spread._asdict() for name, spread in group.measures.items()}}
            for group in groups
        ]
        print_json(records)
        return
    headings = ("measure", "n", "mean", "sd", "minimum", "95 % interval of the mean")
    for group in groups:
        seeds = ", ".join(group.seeds)
        commits = f", of {len(group.commits)} commits" * (len(group.commits) > 1)
        print(printable(f"{group.label}: runs that differ in the seed only ({seeds}){commits}"))
        rows = []
        for name, (n, *values) in group.measures.items():
            *cells, low, high = ("n/a" if value is None else f"{value:.4f}" for value in values)
            rows.append([name, str(n), *cells, f"{low} to {high}"])
        print_table(headings, rows)
    print("n/a: a single run, or trained on shared cores")


def print_statistics(statistics: "_caret.Statistics", *, as_json: bool) -> None:
    from rich.console import Console

    if as_json:
        print_json(statistics._asdict())
        return
    tables = caret_tables.as_tables(statistics)
    print(tables.overall.to_string(header=False), "\n")
    print(printable_lines(tables.by_class.to_string(line_width=Console().width)))
    for note in tables.notes:
        print(printable(note))


def print_answers(
    model: str,
    answers: Sequence["Answer"],
    *,
    names: Sequence[str],
    coverage: float,
    as_json: bool,
) -> None:
    if as_json:
        records = [answer._asdict() for answer in answers]
        print_json({"model": model, "coverage": coverage, "answers": records})
        return
    print(f"{model}, answers with {100 * coverage:g} % coverage")
    for answer in answers:
        print(printable(_answer_line(answer, names)))
    for treatment in sorted({answer.picture for answer in answers}):
        print(f"{treatment}: {pictures.TREATMENTS[treatment]}")


def _answer_line(answer: "Answer", names: Sequence[str]) -> str:
    verdict = " or ".join(answer.answer_names)
    if answer.unsure:
        verdict = f"unsure, most probably {answer.predicted_name}"
    pairs = [*zip(names, answer.probabilities, strict=True)]
    if len(pairs) > SHOWN:
        pairs = sorted(pairs, key=lambda pair: -pair[1])[:SHOWN]
    probabilities = "  ".join(f"{name} {value:.3f}" for name, value in pairs)
    return f"{answer.file}: {verdict}  ({probabilities})  {answer.picture}"


def print_package(package: "Package", *, as_json: bool) -> None:
    if as_json:
        print_json({**package._asdict(), "folder": str(package.folder)})
        return
    print(
        f"{package.model} → {printable(str(package.folder))}: {package.rows:,} hold-out rows get"
        f" the model's classes, probabilities within {package.largest_difference:.1g}\n"
        f"SHA-256 of the folder: {package.sha256}\n"
        "serve it there with: python -P -m imageproof.serve"
    )


def print_scored(result: "ScoreResult", *, as_json: bool) -> None:
    if as_json:
        print_json(asdict(result))
        return
    _print_drift(result.warnings, result.drift)
    speed = f"{result.rows:,} rows by {result.model} at {result.rows_per_s:,.0f} rows/s"
    print(f"{speed} → {printable(result.output)}")
    counts = sorted(zip(result.class_counts, result.class_names, strict=True), reverse=True)
    classes = ", ".join(f"{name} {count:,}" for count, name in counts[:SHOWN] if count)
    print(printable(f"predicted: {classes}{', …' if len(counts) > SHOWN else ''}"))
    if result.files > 1:
        print(f"{result.files:,} files, {result.kept:,} of them kept from before")
    sets = f"answer sets with {100 * result.coverage:g} % coverage"
    print(f"{100 * result.unsure:.2f} % unsure, by {sets}")


def print_monitored(result: "MonitorResult", page: Path, *, as_json: bool) -> None:
    verdicts = monitoring.verdicts(result)
    if as_json:
        print_json({**asdict(result), "verdicts": verdicts})
        return
    _print_drift(result.warnings, result.drift)
    print(*verdicts, sep="\n")
    print(f"{100 * result.unsure:.2f} % of the answers are unsure.")
    left_out = f", {result.other_rows:,} by other versions left out" if result.other_rows else ""
    print(f"{result.rows:,} rows by {result.model}{left_out} → {page}")


def print_outcome(outcome: "_promotion.Outcome", *, as_json: bool) -> None:
    decision = outcome.decision
    if as_json:
        print_json(outcome.as_dict())
        return
    if not decision:
        print(f"version {outcome.version} is the champion already")
        return
    verdicts = {True: Text("ok", "green"), False: Text("no", "red")}
    rows = [
        (check.name, verdicts[check.passed], check.found, check.allowed)
        for check in decision.checks
    ]
    print_table(("check", "", "found", "allowed"), rows)
    if decision.note:
        print(decision.note)
    if outcome.move:
        print(f"champion: {outcome.champion or 'none'} → version {outcome.version}")
    elif decision.accepted:
        print(f"{decision.challenger} would be promoted (dry run)")


def print_moves(moves: Sequence["_history.Move"], *, as_json: bool) -> None:
    if as_json:
        print_json([asdict(move) for move in moves])
        return
    headings = figures.column("history")
    for move in moves:
        change = f"{move.at[:16]}  {move.action} {move.before or '-'} → {move.after or '-'}"
        values = [
            f"{headings[key]} {value:.4g}" for key, value in move.figures.items() if key in headings
        ]
        reasons = (move.by, move.approval, ", ".join(values), move.reason)
        print(printable(f"{move.number}  {change}  {' · '.join(filter(None, reasons))}"))
    if not moves:
        print(f"no champion yet; {project_name()} promote MODEL makes one")


def print_origin(origin: "_version.Origin", *, as_json: bool) -> None:
    record = asdict(origin)
    if as_json:
        print_json(record)
        return
    fields = files.flatten(record | {"aliases": ", ".join(origin.aliases)})
    rows = [(name, printable(str(value))) for name, value in fields.items()]
    print_table(("field", "value"), rows)


def _print_drift(warnings: Sequence[str], drifts: Sequence["drift.Drift"]) -> None:
    for warning in warnings:
        print(f"warning: {printable(warning)}")
    if not drifts:
        print("drift: not known, artifacts/split is not what this model was trained on")
        return
    verdicts = {True: Text("drifted", "red"), False: Text("ok")}
    rows = []
    for name, effect, p_value, drifted in map(astuple, drifts):
        title = monitoring.TITLES[name]
        rows.append((title, f"{effect:.4f}", f"{p_value:.3g}", verdicts[drifted]))
    print_table(("drift of", "effect", "p", ""), rows)
