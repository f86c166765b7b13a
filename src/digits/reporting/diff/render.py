"""What `digits diff` prints: tables for people, Markdown for a comment, JSON for scripts."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

from rich.table import Table

from digits.core.errors import printable
from digits.core.files import write_text
from digits.core.revision import Revision
from digits.evaluation.comparison import verdict
from digits.evaluation.difference import NOT_ASKED, Change
from digits.reporting.console import Terminal, print_json
from digits.reporting.diff.collect import Diff
from digits.reporting.page.report import environment

MOST_ROWS = 30  # of a table; JSON has them all
MOST_CHARACTERS = 65_000  # of Markdown: GitHub takes 65,536 in a comment
CELL_WIDTH = 100


class Section(NamedTuple):
    """A table; its first `quoted` columns are texts from git, the others our own."""

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    below: Sequence[str] = ()
    quoted: int = 1
    align: Literal["left", "right"] = "left"

    def cut(self) -> "Section":
        """At most MOST_ROWS rows, with what is quoted in them cut to CELL_WIDTH."""
        n, more = self.quoted, len(self.rows) - MOST_ROWS
        rows = [[*map(_short, row[:n]), *row[n:]] for row in self.rows[:MOST_ROWS]]
        below = [f"… and {more} more"] * (more > 0) + [*self.below]
        return self._replace(rows=rows, below=below)


def print_diff(diff: Diff, *, as_json: bool, as_markdown: bool) -> None:
    """Print what differs, the verdicts first."""
    if as_json:
        print_json(_as_dict(diff))
        return
    if as_markdown:
        print(markdown(diff), end="")
        return
    console = Terminal()
    console.print(f"{_words(diff.old)} → {_words(diff.new)}")
    for name, model in diff.models.items():
        console.print(f"{name}: {model.verdict if model else 'unchanged'}")
    for note in diff.notes:
        console.print(printable(note))
    for section in _sections(diff):
        table = Table()
        for k, name in enumerate(section.columns):
            justify = "left" if k < section.quoted else section.align
            table.add_column(name, justify=justify, overflow="fold")
        for row in section.rows:
            table.add_row(*row)
        console.print("", section.title, table, *section.below, sep="\n")


def write_page(diff: Diff, folder: Path) -> None:
    """Write diff.md beside the pictures, which it shows."""
    write_text(folder / "diff.md", markdown(diff, pictures=True))


def markdown(diff: Diff, *, pictures: bool = False) -> str:
    """GitHub's Markdown; the last tables are left out if it gets too long for a comment."""
    template, sections = environment("diff").get_template("diff.md.j2"), [*_sections(diff)]
    for left_out in range(len(sections) + 1):
        text = template.render(
            old=_words(diff.old),
            new=_words(diff.new),
            models=diff.models,
            notes=[_short(note, 400) for note in diff.notes[:MOST_ROWS]],
            sections=sections[: len(sections) - left_out],
            left_out=left_out,
            pictures=diff.pictures.values() if pictures else [],
        )
        if len(text) <= MOST_CHARACTERS:
            break
    return text


def _sections(diff: Diff) -> Iterator[Section]:
    if diff.params:
        params = [
            (key, *("–" if value is None else str(value) for value in pair))
            for key, pair in diff.params.items()
        ]
        yield Section("params", ("", "old", "new"), params, quoted=3).cut()
    for name, model in diff.models.items():
        if model is None:
            continue
        words = [verdict(model.pair)] if model.pair else []
        yield from _changes(f"{name}: metrics", model.metrics, words)
        yield from _changes(f"{name}: sensitivity of each class, test", model.sensitivity)
        if model.gate and (model.gate.failed or model.state != "same answers"):
            checks = [
                (check.name, "ok" if check.passed else "no", check.found, check.allowed)
                for check in model.gate.checks
            ]
            below = [
                "on the hold-out rows; old stands for the champion",
                f"not asked: {', '.join(NOT_ASKED)}; digits promote asks them",
            ]
            yield Section(f"{name}: gate", ("check", "", "found", "allowed"), checks, below)


def _changes(
    title: str, values: Mapping[str, Change], below: Sequence[str] = ()
) -> Iterator[Section]:
    """A row for each value that differs; nothing if none does."""
    rows = [
        (name, _number(pair.old), _number(pair.new), _number(pair.diff, sign="+"))
        for name, pair in values.items()
        if pair.old != pair.new
    ]
    if rows:
        yield Section(title, ("", "old", "new", "change"), rows, below, align="right").cut()


def _number(value: float | None, *, sign: str = "") -> str:
    if value is None:
        return "–"
    if abs(value) >= 1e9:
        return f"{value:{sign}.4g}"
    return f"{value:{sign}z,.0f}" if abs(value) >= 1000 else f"{value:{sign}z.4f}"


def _short(text: str, width: int = CELL_WIDTH) -> str:
    return printable(text if len(text) <= width else f"{text[:width]}…")


def _words(revision: Revision) -> str:
    known = not revision.commit or revision.commit.startswith(revision.name)
    return _short(revision.name) + ("" if known else f" ({revision.commit[:7]})")


def _as_dict(diff: Diff) -> dict[str, Any]:
    return {
        "old": {"revision": diff.old.name, "commit": diff.old.commit},
        "new": {"revision": diff.new.name, "commit": diff.new.commit},
        "params": {key: pair._asdict() for key, pair in diff.params.items()},
        "models": {
            name: model.as_dict() if model else {"state": "unchanged"}
            for name, model in diff.models.items()
        },
        "notes": diff.notes,
    }
