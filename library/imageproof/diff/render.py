"""What the command `diff` prints: tables for people, Markdown for a comment, JSON for scripts."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from imageproof.base.naming import project_name
from imageproof.base.text import cut, printable
from imageproof.diff.collect import Diff
from imageproof.diff.difference import NOT_ASKED, Change
from imageproof.dvc.revision import Revision
from imageproof.judge.comparison import verdict
from imageproof.pages.templates import templates
from imageproof.system.console import print_json, print_table

MOST_ROWS = 30  # of a table; JSON has them all
MOST_CHARACTERS = 65_000  # of Markdown: GitHub takes 65,536 in a comment
Texts = Sequence[str]


class Section(NamedTuple):
    title: str
    columns: Texts
    rows: Sequence[Texts]
    below: Texts = ()


def print_diff(diff: Diff, *, as_json: bool, as_markdown: bool) -> None:
    if as_json:
        print_json(_as_dict(diff))
        return
    if as_markdown:
        print(markdown(diff), end="")
        return
    print(f"{_words(diff.old)} → {_words(diff.new)}")
    for name, model in diff.models.items():
        print(f"{name}: {model.verdict if model else 'unchanged'}")
    for note in diff.notes:
        print(printable(note))
    for section in _sections(diff):
        print(f"\n{section.title}")
        print_table(section.columns, section.rows)
        for line in section.below:
            print(line)


def markdown(diff: Diff) -> str:
    """GitHub's Markdown; without the tables if they make it too long for a comment."""
    template = templates("imageproof.diff").get_template("diff.md.j2")
    texts: dict[str, Any] = {
        "old": _words(diff.old),
        "new": _words(diff.new),
        "models": diff.models,
        "notes": [cut(note, 400) for note in diff.notes[:MOST_ROWS]],
    }
    for sections in (_sections(diff), None):
        text = template.render(**texts, sections=sections)
        if len(text) <= MOST_CHARACTERS:
            break
    return text


def _sections(diff: Diff) -> list[Section]:
    """What differs, a table each; those that would be empty are left out."""
    columns = "", "old", "new", "change"
    params = [(k, *("–" if v is None else str(v) for v in pair)) for k, pair in diff.params.items()]
    sections = [_section("params", columns[:3], params)]
    for name, model in diff.models.items():
        if model is None:
            continue
        words = [verdict(model.pair)] if model.pair else []
        sections += [
            _section(f"{name}: metrics", columns, _changes(model.metrics), words),
            _section(f"{name}: test sensitivity", columns, _changes(model.sensitivity)),
        ]
        if model.gate and (model.gate.failed or model.state != "same answers"):
            checks = [
                # found: names of classes, which may be somebody else's
                (c.name, "ok" if c.passed else "no", cut(c.found, 400), c.allowed)
                for c in model.gate.checks
            ]
            below = [
                "on the hold-out rows; old stands for the champion",
                f"not asked: {', '.join(NOT_ASKED)}; {project_name()} promote asks them",
            ]
            headings = "check", "", "found", "allowed"
            sections.append(Section(f"{name}: gate", headings, checks, below))
    return [section for section in sections if section.rows]


def _section(title: str, columns: Texts, rows: Iterable[Texts], below: Texts = ()) -> Section:
    cells = [[cut(cell, 100) for cell in row] for row in rows]
    if (more := len(cells) - MOST_ROWS) > 0:
        below = [f"… and {more} more", *below]
    return Section(title, columns, cells[:MOST_ROWS], below)


def _changes(values: Mapping[str, Change]) -> list[tuple[str, ...]]:
    return [
        (name, _number(pair.old), _number(pair.new), _number(pair.diff, sign="+"))
        for name, pair in values.items()
        if pair.old != pair.new
    ]


def _number(value: float | None, *, sign: str = "") -> str:
    if value is None:
        return "–"
    return f"{value:{sign}z,.{0 if abs(value) >= 1000 else 4}f}"


def _words(revision: Revision) -> str:
    known = not revision.commit or revision.commit.startswith(revision.name)
    return cut(revision.name, 100) + ("" if known else f" ({revision.commit[:7]})")


def _as_dict(diff: Diff) -> dict[str, Any]:
    return {
        "old": {"revision": diff.old.name, "commit": diff.old.commit},
        "new": {"revision": diff.new.name, "commit": diff.new.commit},
        "params": {key: pair._asdict() for key, pair in diff.params.items()},
        "models": {n: m.as_dict() if m else {"state": "unchanged"} for n, m in diff.models.items()},
        "notes": diff.notes,
    }
