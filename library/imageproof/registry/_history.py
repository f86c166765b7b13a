"""The history of the champion's alias, which MLflow does not keep.

Each move is stored twice: a short tag on the registered model (what, when, who), and the full
record as a tag on the version.
"""

import re
from collections.abc import Container, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from json import dumps
from typing import Any, Literal

from pydantic import TypeAdapter

from imageproof.base._naming import project_name
from imageproof.base.errors import IntegrityError
from imageproof.base.text import printable

KEY = re.compile(r"(\d{6,9})\.(\d{1,9})-(\d{1,9})")  # without the prefix
VALUE = re.compile(r"(promote|rollback|elsewhere) (\S+)(?: by (.+))?", re.DOTALL)
ELSEWHERE = "moved by other means"

Tags = Mapping[str, str]
Action = Literal["promote", "rollback", "elsewhere"]


@dataclass(frozen=True, slots=True)
class Move:
    """One move of the champion's alias from version `before` to `after`; None means no version."""

    number: int
    action: Action
    before: str | None
    after: str | None
    at: str
    by: str = ""
    reason: str = ""
    figures: dict[str, float] = field(default_factory=dict)
    approval: str = ""

    @property
    def key(self) -> str:
        """Name of both tags."""
        return f"{_prefix()}{self.number:06d}.{self.before or 0}-{self.after or 0}"

    def to_tag(self) -> str:
        """Value of the model's tag."""
        return f"{self.action} {self.at}" + (f" by {self.by}" if self.by else "")

    def to_json(self) -> str:
        """Value of the version's tag."""
        return dumps(asdict(self), ensure_ascii=False)


def _prefix() -> str:
    return f"{project_name()}.champion."


def champion_of(moves: Sequence[Move]) -> str | None:
    return moves[-1].after if moves else None


def next_move(
    moves: Sequence[Move], action: Action, version: str | None, *, reason: str, **fields: Any
) -> Move:
    """A move of now that follows these moves."""
    number = moves[-1].number + 1 if moves else 1
    time = datetime.now(UTC).isoformat(timespec="seconds")
    text = printable(reason)[:1000]  # it becomes a tag
    return Move(number, action, champion_of(moves), version, time, reason=text, **fields)


def read(
    tags: Tags,
    champion: str | None,
    version_tags: Mapping[str, Tags],
) -> list[Move]:
    """The moves among a registered model's tags, oldest first; the last one leads to `champion`.

    IntegrityError if a tag is not as this module writes it.
    """
    keys = [key for key in tags if key.startswith(_prefix())]
    moves = [_move(key, tags[key], version_tags) for key in keys]
    # two promotions at once may have one number: the one that the next move begins at comes last
    ends = {(move.number - 1, move.before) for move in moves}
    ends.add((max((move.number for move in moves), default=0), champion))
    moves.sort(key=lambda move: (move.number, (move.number, move.after) in ends))
    if champion_of(moves) != champion:
        move = next_move(moves, "elsewhere", champion, reason=ELSEWHERE)
        move = replace(move, at="unknown")  # MLflow keeps no time of an alias
        with suppress(KeyError, ValueError):  # a promotion that was killed left its record only
            move = TypeAdapter(Move).validate_json(version_tags[str(champion)][move.key])
        moves.append(move)
    return moves


def _move(key: str, value: str, version_tags: Mapping[str, Tags]) -> Move:
    holder = "the registered model"
    try:
        ends = KEY.fullmatch(key.removeprefix(_prefix()))
        content = VALUE.fullmatch(value)
        if not ends or not content:
            raise ValueError(value)
        before, after = (version if int(version) else None for version in ends.groups()[1:])
        if record := version_tags.get(str(after), {}).get(key):
            holder = f"version {after}"
            move = TypeAdapter(Move).validate_json(record)
            if move.key != key:
                raise ValueError(record)
            return move
    except ValueError:  # pydantic's is one, too
        finding = f"is no move as {project_name()} writes it; mend or delete it in MLflow"
        raise IntegrityError(f"tag {key} of {holder}: {finding}") from None
    action: Any = content[1]
    reason = ELSEWHERE if action == "elsewhere" else ""
    return Move(int(ends[1]), action, before, after, content[2], content[3] or "", reason)


def previous_champion(moves: Sequence[Move], versions: Container[str]) -> str | None:
    """The one of the `versions` that a rollback leads to; it drops those that it steps over."""
    line: list[str | None] = []
    for move in moves:
        if move.action == "rollback" and move.after in line:
            while line[-1] != move.after:  # it may have been champion twice
                line.pop()
        else:
            line.append(move.after)
    return next((version for version in reversed(line[:-1]) if version in versions), None)
