"""What the commands print: tables for people, JSON for scripts."""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.text import Text

from imageproof.artifacts import WORKSPACE
from imageproof.base.files import flatten, read_json
from imageproof.base.naming import project_name
from imageproof.base.text import printable, printable_lines
from imageproof.dvc.provenance import check_outputs
from imageproof.judge.figures import column
from imageproof.judge.leaderboard import Comparison, cells
from imageproof.outputs import RunRecord
from imageproof.system.console import print_json, print_table

if TYPE_CHECKING:  # these import MLflow or SciPy, which takes a second
    from imageproof.answer.monitor import MonitorResult
    from imageproof.answer.predict import Answer
    from imageproof.answer.score import ScoreResult
    from imageproof.judge import caret, drift
    from imageproof.judge.seeds import Group
    from imageproof.registry import history, promotion, trace
    from imageproof.serve.package import Package

SHOWN = 10  # classes, the most probable or those that were predicted most often


def print_results() -> None:
    check_outputs([WORKSPACE.comparison])
    comparison = read_json(WORKSPACE.comparison, Comparison)
    columns = cells(comparison.models)  # one per model, so that it fits a narrow terminal
    names = [column.pop("model") for column in columns]
    rows = ([key, *(column[key] for column in columns)] for key in columns[0])
    print_table(["", *names], rows, justify="right")
    for heading, meaning in column("meaning", by="table").items():
        if heading in columns[0]:
            print(f"{heading}: {meaning}")
    print("", *map(printable, comparison.verdicts), sep="\n")
    for row in comparison.models:
        run = WORKSPACE.trained(row.model).run
        if run.exists() and read_json(run, RunRecord).run_id != row.run_id:
            print(f"{row.model} was trained again since: `{project_name()} run` compares it anew")
    print("\nmake report shows everything on one page, make ui the runs side by side.")


def print_summary(groups: "Sequence[Group]", *, as_json: bool) -> None:
    if as_json:
        found = [group._asdict() for group in groups]
        for each in found:
            each["measures"] = {name: of._asdict() for name, of in each["measures"].items()}
        print_json(found)
        return
    headings = "measure", "n", "mean", "sd", "minimum", "95 % interval of the mean"
    for group in groups:
        seeds = ", ".join(group.seeds)
        commits = f", of {len(group.commits)} commits" * (len(group.commits) > 1)
        print(printable(f"{group.label}: runs that differ in the seed only ({seeds}){commits}"))
        rows = []
        for name, (n, *figures) in group.measures.items():
            mean, sd, minimum, low, high = ("n/a" if x is None else f"{x:.4f}" for x in figures)
            rows.append([name, str(n), mean, sd, minimum, f"{low} to {high}"])
        print_table(headings, rows)
    print("n/a: a single run, or trained on shared cores")


def print_statistics(statistics: "caret.Statistics", *, as_json: bool) -> None:
    from imageproof.judge.caret import as_tables

    if as_json:
        print_json(statistics._asdict())
        return
    tables = as_tables(statistics)
    print(tables.overall.to_string(header=False), "\n")
    print(printable_lines(tables.by_class.to_string(line_width=Console().width)))
    for note in tables.notes:
        print(printable(note))


def print_answers(
    model: str,
    answers: Sequence["Answer"],
    *,
    names: list[str] | None,
    coverage: float,
    as_json: bool,
) -> None:
    from imageproof.pictures.reading import TREATMENTS

    if as_json:
        found = [answer._asdict() for answer in answers]
        if names:
            for each in found:
                each["predicted_name"] = names[each["predicted"]]
                each["answer_names"] = [names[label] for label in each["answer_set"]]
        print_json({"model": model, "coverage": coverage, "answers": found})
        return
    print(f"{model}, answers with {100 * coverage:g} % coverage")
    for answer in answers:
        called = names or [*map(str, range(len(answer.probabilities)))]
        said = " or ".join(called[label] for label in answer.answer_set)
        if answer.unsure:
            said = f"unsure, most probably {called[answer.predicted]}"
        pairs = [*zip(called, answer.probabilities, strict=True)]
        if len(pairs) > SHOWN:
            pairs = sorted(pairs, key=lambda pair: -pair[1])[:SHOWN]
        chances = "  ".join(f"{name} {value:.3f}" for name, value in pairs)
        print(printable(f"{answer.file}: {said}  ({chances})  {answer.picture}"))
    for name in sorted({answer.picture for answer in answers}):
        print(f"{name}: {TREATMENTS[name]}")


def print_package(package: "Package", *, as_json: bool) -> None:
    if as_json:
        print_json({**package._asdict(), "folder": str(package.folder)})
        return
    print(
        f"{package.model} → {printable(str(package.folder))}: {package.rows:,} hold-out rows get"
        f" the model's classes, probabilities within {package.largest_difference:.1g}\n"
        f"SHA-256 of the folder: {package.sha256}\n"
        "serve it there with: python -m imageproof.serve"
    )


def print_scored(result: "ScoreResult", *, as_json: bool) -> None:
    if as_json:
        print_json(asdict(result))
        return
    _print_found(result.warnings, result.drift)
    print(
        f"{result.rows:,} rows by {result.model} at {result.rows_per_s:,.0f} rows/s"
        f" → {printable(result.output)}"
    )
    counts = sorted(zip(result.class_counts, result.class_names, strict=True), key=lambda x: -x[0])
    shown = ", ".join(f"{name} {count:,}" for count, name in counts[:SHOWN] if count)
    print(printable(f"predicted: {shown}{', …' if len(counts) > SHOWN else ''}"))
    if result.files > 1:
        print(f"{result.files:,} files, {result.kept:,} of them kept from before")
    sets = f"answer sets with {100 * result.coverage:g} % coverage"
    print(f"{100 * result.unsure:.2f} % unsure, by {sets}")


def print_monitored(result: "MonitorResult", page: Path, *, as_json: bool) -> None:
    from imageproof.answer.monitor import verdicts

    said = verdicts(result)
    if as_json:
        print_json({**asdict(result), "verdicts": said})
        return
    _print_found(result.warnings, result.drift)
    print(*said, sep="\n")
    print(f"{100 * result.unsure:.2f} % of the answers are unsure.")
    others = f", {result.other_rows:,} by other versions left out" if result.other_rows else ""
    print(f"{result.rows:,} rows by {result.model}{others} → {page}")


def print_outcome(outcome: "promotion.Outcome", *, as_json: bool) -> None:
    if as_json:
        print_json(outcome.as_dict())
        return
    if not outcome.decision:
        print(f"version {outcome.version} is the champion already")
        return
    verdicts = {True: Text("ok", "green"), False: Text("no", "red")}
    rows = [(c.name, verdicts[c.passed], c.found, c.allowed) for c in outcome.decision.checks]
    print_table(("check", "", "found", "allowed"), rows)
    if outcome.decision.note:
        print(outcome.decision.note)
    if outcome.move:
        print(f"champion: version {outcome.champion or '(none)'} → version {outcome.version}")
    elif outcome.decision.accepted:
        print(f"{outcome.decision.challenger} would be promoted (dry run)")


def print_moves(moves: Sequence["history.Move"], *, as_json: bool) -> None:
    if as_json:
        print_json([asdict(move) for move in moves])
        return
    names = column("history")
    for move in moves:
        what = f"{move.at[:16]}  {move.action} {move.before or '-'} → {move.after or '-'}"
        known = [(names[k], value) for k, value in move.figures.items() if k in names]
        figures = ", ".join(f"{name} {value:.4g}" for name, value in known)
        why = " · ".join(filter(None, (move.by, move.approval, figures, move.reason)))
        print(printable(f"{move.number}  {what}  {why}"))
    if not moves:
        print(f"no champion yet; {project_name()} promote MODEL makes one")


def print_origin(origin: "trace.Origin", *, as_json: bool) -> None:
    if as_json:
        print_json(asdict(origin))
        return
    fields = flatten(asdict(origin) | {"aliases": ", ".join(origin.aliases)})
    print_table(("field", "value"), [(k, printable(str(value))) for k, value in fields.items()])


def _print_found(warnings: Sequence[str], found: Sequence["drift.Drift"]) -> None:
    for warning in warnings:
        print(f"warning: {printable(warning)}")
    if not found:
        print("drift: not known, artifacts/split is not what this model was trained on")
        return
    verdicts = {True: Text("drifted", "red"), False: Text("ok")}
    rows = [(d.name, f"{d.effect:.4f}", f"{d.p_value:.3g}", verdicts[d.drifted]) for d in found]
    print_table(("drift of", "effect", "p", ""), rows)
