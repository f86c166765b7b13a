"""The chain of champions: every move of the alias, kept as tags of the registered model.

MLflow's aliases have no history. A move is written down as pending, then made, then noted as
done, so that whatever is interrupted, the chain can be told from what the alias names.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from json import dumps
from typing import Any, Literal

from pydantic import TypeAdapter, ValidationError

from digits.core.errors import IntegrityError

PREFIX = "champion."
ELSEWHERE = "moved by other means than digits"


@dataclass(frozen=True, slots=True)
class Move:
    """One move of the champion's alias: from version `before` to `after` (None: it named none).

    `by` is the account that moved it, `approval` a person's word where one was asked; `figures`
    are those of the gate; `at` is UTC in ISO 8601.
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
        """The tag it is kept in."""
        return f"{PREFIX}{self.number:06d}"

    def to_json(self) -> str:
        """The tag's value."""
        return dumps(asdict(self), ensure_ascii=False)


def now() -> str:
    """The time in UTC, ISO 8601."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def read(tags: dict[str, Any]) -> list[Move]:
    """The moves among the tags of a registered model, in their order.

    Raises:
        IntegrityError: a tag is none that digits wrote.
    """
    return [_move(key, tags[key]) for key in sorted(tags) if key.startswith(PREFIX)]


def _move(key: str, text: str) -> Move:
    try:
        return TypeAdapter(Move).validate_json(text)
    except ValidationError:
        raise IntegrityError(
            f"tag {key} of the registered model: is no move as digits writes it;"
            " mend or delete the tag in MLflow"
        ) from None


def settle(moves: Sequence[Move], champion: str | None) -> list[Move]:
    """What really happened, where the alias names the version `champion`.

    A pending move was made if the alias names its target, and else was not. An alias that
    names neither was moved by hand, which is a move too.
    """
    settled = list(moves)
    if settled and not settled[-1].done:
        last = settled.pop()
        if last.after == champion:
            settled.append(replace(last, done=True))
    before = settled[-1].after if settled else None
    if champion != before:
        number = len(settled) + 1
        settled.append(
            Move(number, "elsewhere", before, champion, now(), "", ELSEWHERE, {}, done=True)
        )
    return settled


def line_of_succession(moves: Sequence[Move]) -> list[str]:
    """The versions that a rollback can step back through, the present champion last.

    A rollback to a version in the line cuts the line there, so that the next one goes further
    back and not forth again.
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
