"""The history of the champion's alias, which MLflow does not keep: a tag of the model per move."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from json import dumps
from typing import Any, Literal

from pydantic import TypeAdapter, ValidationError

from digits.core.errors import IntegrityError, printable

PREFIX = "champion."
MAX_REASON = 1000  # characters; the reason becomes a tag


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
        """Name of the tag that holds the move."""
        return f"{PREFIX}{self.number:06d}.{self.before or 0}-{self.after or 0}"

    def to_json(self) -> str:
        """Value of that tag."""
        return dumps(asdict(self), ensure_ascii=False)


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


def read(tags: Mapping[str, str], champion: str | None) -> list[Move]:
    """The moves among a registered model's tags, oldest first; the last one leads to `champion`.

    Raises IntegrityError if a tag is not as digits writes it.
    """
    moves = []
    for key in (key for key in tags if key.startswith(PREFIX)):
        try:
            moves.append(TypeAdapter(Move).validate_json(tags[key]))
        except ValidationError:
            raise IntegrityError(
                f"tag {key} of the registered model: is no move as digits writes it; "
                "mend or delete it in MLflow"
            ) from None
    # of moves at the same moment, the last one made is the one that the alias names
    moves.sort(key=lambda move: (move.number, move.after == champion))
    if champion_of(moves) != champion:
        reason = "moved by other means than digits"
        moves.append(next_move(moves, "elsewhere", champion, reason=reason))
    return moves


def previous_champion(moves: Sequence[Move]) -> str | None:
    """The version that a rollback leads to. A rollback drops the versions that it steps over."""
    line: list[str | None] = []
    for move in moves:
        if move.action == "rollback" and move.after in line:
            del line[line.index(move.after) + 1 :]
        else:
            line.append(move.after)
    return next((version for version in reversed(line[:-1]) if version), None)
