"""The history of the champion's alias, which MLflow does not keep: a tag of the model per move.

It says what, when and who; why and on what figures stands in a tag of the version that it led to.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from json import dumps
from typing import Any, Literal

from pydantic import BaseModel

from digits.core.errors import IntegrityError, printable

PREFIX = "champion."
MAX_REASON = 1000  # characters; the reason becomes a tag
KEY = re.compile(r"champion\.(\d{6,9})\.(\d{1,9})-(\d{1,9})")
VALUE = re.compile(r"(promote|rollback|elsewhere) (\S+)(?: by (.+))?", re.DOTALL)
ELSEWHERE = "moved by other means than digits"


@dataclass(frozen=True, slots=True)
class Move:
    """One move of the champion's alias from version `before` to `after`; None means no version.

    `elsewhere` is one by other means than digits. `figures` are the gate's. Two moves at the same
    moment have the same `number`.
    """

    number: int
    action: Literal["promote", "rollback", "elsewhere"]
    before: str | None
    after: str | None
    at: str
    by: str = ""
    reason: str = ""
    figures: dict[str, float] = field(default_factory=dict)
    approval: str = ""

    @property
    def key(self) -> str:
        """Name of both tags that hold the move."""
        return f"{PREFIX}{self.number:06d}.{self.before or 0}-{self.after or 0}"

    def to_tag(self) -> str:
        """Value of the model's tag."""
        return f"{self.action} {self.at}" + (f" by {self.by}" if self.by else "")

    def details(self) -> str:
        """Value of the version's tag."""
        why = {"reason": self.reason, "figures": self.figures, "approval": self.approval}
        return dumps(why, ensure_ascii=False)


class _Details(BaseModel, extra="forbid"):
    reason: str
    figures: dict[str, float]
    approval: str


def champion_of(moves: Sequence[Move]) -> str | None:
    """The version that the last of all moves led to."""
    return moves[-1].after if moves else None


def next_move(
    moves: Sequence[Move],
    action: Literal["promote", "rollback", "elsewhere"],
    after: str | None,
    *,
    reason: str,
    **rest: Any,
) -> Move:
    """A move of now that follows these moves."""
    number = moves[-1].number + 1 if moves else 1
    now = datetime.now(UTC).isoformat(timespec="seconds")
    why = printable(reason)[:MAX_REASON]
    return Move(number, action, champion_of(moves), after, now, reason=why, **rest)


def read(
    tags: Mapping[str, str], champion: str | None, of_versions: Mapping[str, Mapping[str, str]]
) -> list[Move]:
    """The moves among a registered model's tags, oldest first; the last one leads to `champion`.

    `of_versions` are the tags of each version; of one that was deleted, why it was moved to is
    lost. Raises IntegrityError if a tag is not as digits writes it, or the version's is missing.
    """
    moves = [
        _move(key, value, of_versions) for key, value in tags.items() if key.startswith(PREFIX)
    ]
    # of moves at the same moment, the last one made is the one that the alias names
    moves.sort(key=lambda move: (move.number, move.after == champion))
    if champion_of(moves) != champion:
        moves.append(next_move(moves, "elsewhere", champion, reason=ELSEWHERE))
    return moves


def _move(key: str, value: str, of_versions: Mapping[str, Mapping[str, str]]) -> Move:
    named, said, where = KEY.fullmatch(key), VALUE.fullmatch(value), "the registered model"
    try:
        if not named or not said:
            raise ValueError(value)
        number, before, after = named.groups()
        action: Any
        action, at, by = said.groups()
        reason = ELSEWHERE if action == "elsewhere" else ""
        why = _Details(reason=reason, figures={}, approval="")
        if action != "elsewhere" and after in of_versions:
            where = f"version {after}"
            why = _Details.model_validate_json(of_versions[after].get(key, ""))
    except ValueError:  # pydantic's is one, too
        raise IntegrityError(
            f"tag {key} of {where}: is no move as digits writes it; mend or delete it in MLflow"
        ) from None
    old, new = (version if int(version) else None for version in (before, after))
    return Move(int(number), action, old, new, at, by or "", **why.model_dump())


def previous_champion(moves: Sequence[Move]) -> str | None:
    """The version that a rollback leads to. A rollback drops the versions that it steps over."""
    line: list[str | None] = []
    for move in moves:
        if move.action == "rollback" and move.after in line:
            del line[line.index(move.after) + 1 :]
        else:
            line.append(move.after)
    return next((version for version in reversed(line[:-1]) if version), None)
