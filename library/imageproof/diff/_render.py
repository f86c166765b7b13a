"""What the command `diff` prints: tables for people, Markdown for a comment, JSON for scripts."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from rich.table import Table

from imageproof.base.text import cut
from imageproof.diff._collect import Diff
from imageproof.diff._difference import Change
from imageproof.dvc._revision import Revision
from imageproof.judge._verdicts import verdict
from imageproof.pages._templates import templates
from imageproof.system._console import show, table

MOST_CHARACTERS = 60_000  # of Markdown: GitHub takes 65,536, with what others add to it
COLUMNS = "", "old", "new", "change"

Texts = Sequence[str]


class Section(NamedTuple):
    """A table under a title, with lines below it."""

    title: str
    columns: Texts
    rows: Sequence[Texts]
    below: Texts = ()


def print_diff(diff: Diff, *, as_json: bool, as_markdown: bool) -> None:
    if as_markdown and not as_json:
        print(markdown(diff), end="")
        return
    record = {
        "old": {"revision": diff.old.name, "commit": diff.old.commit},
        "new": {"revision": diff.new.name, "commit": diff.new.commit},
        "params": {key: pair._asdict() for key, pair in diff.params.items()},
        "models": {name: model.as_dict() for name, model in diff.models.items()},
        "states": diff.states,
        "notes": diff.notes,
    }
    show(_lines(diff), record, as_json=as_json)


def _lines(diff: Diff) -> Iterator[str | Table]:
    yield f"{_label(diff.old)} → {_label(diff.new)}"
    for name, model in diff.models.items():
        yield f"{name}: {model.verdict}"
    for name, state in diff.states.items():
        yield f"{name}: {state}"
    yield from diff.notes
    for section in _sections(diff):
        yield ""
        yield section.title
        yield table(section.columns, section.rows)
        yield from section.below


def markdown(diff: Diff) -> str:
    """GitHub's Markdown; without the tables if they make it too long for a comment."""
    template = templates("imageproof.diff").get_template("diff.md.j2")
    texts: dict[str, Any] = {
        "old": _label(diff.old),
        "new": _label(diff.new),
        "models": diff.models,
        "states": diff.states,
        "notes": [cut(note, 400) for note in diff.notes],
    }
    for sections in (_sections(diff), None):
        text = template.render(**texts, sections=sections)
        if len(text) <= MOST_CHARACTERS:
            break
    return text


def _sections(diff: Diff) -> list[Section]:
    """What differs, a table each; those that would be empty are left out."""
    params = [(cut(key, 100), *map(_param, change)) for key, change in diff.params.items()]
    sections = [Section("params", COLUMNS[:3], params)]
    for name, model in diff.models.items():
        line = [verdict(model.pair)] if model.pair else []
        classes = sorted(model.sensitivity.items(), key=lambda pair: -abs(pair[1].diff or 0))
        sections.append(Section(f"{name}: metrics", COLUMNS, _changes(model.metrics), line))
        sections.append(Section(f"{name}: test sensitivity", COLUMNS, _changes(dict(classes))))
    return [section for section in sections if section.rows]


def _param(value: object) -> str:
    return "–" if value is None else cut(value, 100)


def _changes(values: Mapping[str, Change]) -> list[tuple[str, ...]]:
    return [
        (cut(name, 100), _number(pair.old), _number(pair.new), _number(pair.diff, sign="+"))
        for name, pair in values.items()
        if pair.old != pair.new
    ]


def _number(value: float | None, *, sign: str = "") -> str:
    if value is None:
        return "–"
    return f"{value:{sign}z,.{0 if abs(value) >= 1000 else 4}f}"


def _label(revision: Revision) -> str:
    name = cut(revision.name, 100)
    if revision.commit.startswith(revision.name) or not revision.commit:
        return name
    return f"{name} ({revision.commit[:7]})"
