"""The history of the champion's alias: one tag per move on the registered model.

MLflow's aliases have no history. A move is written as pending, then made, then written as done.
After an interruption the alias tells whether the pending move was made.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from json import dumps
from typing import Literal

from pydantic import TypeAdapter, ValidationError

from digits.core.errors import IntegrityError

PREFIX = "champion."


@dataclass(frozen=True, slots=True)
class Move:
    """One move of the champion's alias from version `before` to `after`; None means no version.

    `figures` are the gate's. Two moves at the same moment have the same `number`.
    """

    number: int
    action: Literal["promote", "rollback", "elsewhere"]
    before: str | None
    after: str | None
    at: str
    by: str
    reason: str
    figures: dict[str, float]
    done: bool = False
    approval: str = ""

    @property
    def key(self) -> str:
        """Name of the tag that holds the move."""
        return f"{PREFIX}{self.number:06d}.{self.before or 0}-{self.after or 0}"

    def to_json(self) -> str:
        """Value of that tag."""
        return dumps(asdict(self), ensure_ascii=False)


def now() -> str:
    """The time in UTC, ISO 8601."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def read(tags: Mapping[str, str]) -> list[Move]:
    """The moves among a registered model's tags, oldest first, pending ones too.

    Raises:
        IntegrityError: a tag is not as digits writes it.
    """
    moves = []
    for key in sorted(key for key in tags if key.startswith(PREFIX)):
        try:
            moves.append(TypeAdapter(Move).validate_json(tags[key]))
        except ValidationError:
            raise IntegrityError(
                f"tag {key} of the registered model: is no move as digits writes it; "
                "mend or delete it in MLflow"
            ) from None
    return moves


def settle(moves: Sequence[Move], champion: str | None) -> list[Move]:
    """The moves that were made, as the version `champion`, which the alias names, shows them.

    If the last one that is done does not explain the alias, a later pending one was made, or
    somebody moved the alias by other means: that becomes one more move.
    """
    # of moves at the same moment, the last one made is the one that the alias names
    settled = sorted((m for m in moves if m.done), key=lambda m: (m.number, m.after == champion))
    number, before = (settled[-1].number, settled[-1].after) if settled else (0, None)
    if champion != before:
        pending = [m for m in moves if m.number > number and m.after == champion]
        why = "moved by other means than digits"
        elsewhere = Move(number + 1, "elsewhere", before, champion, now(), "", why, {})
        settled.append(replace([elsewhere, *pending][-1], done=True))
    return settled


def line_of_succession(moves: Sequence[Move]) -> list[str]:
    """The versions that rollbacks step back through, the present champion last.

    A rollback to a version of the line drops those after it.
    """
    line: list[str] = []
    for move in moves:
        if move.after is None:
            line.clear()
        elif move.action == "rollback" and move.after in line:
            del line[line.index(move.after) + 1 :]
        else:
            line.append(move.after)
    return line
