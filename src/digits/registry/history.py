"""The history of champions: every move of the alias, kept as tags of the registered model.

MLflow's aliases have no history. A move is written as pending, then made, then written as done.
After an interruption the alias tells whether the pending move was made.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from getpass import getuser
from json import dumps
from typing import Any, Literal
from urllib.parse import urlsplit

from mlflow.utils.credentials import read_mlflow_creds
from pydantic import TypeAdapter, ValidationError

from digits.core.errors import IntegrityError
from digits.tracking import store

PREFIX = "champion."
ELSEWHERE = "moved by other means than digits"


@dataclass(frozen=True, slots=True)
class Move:
    """One move of the champion's alias from version `before` to `after`; None means no version.

    `by`: user of MLflow's server, else system account. `approval`: `approved by NAME`, or empty.
    `figures`: the gate's. `at`: UTC, ISO 8601.
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
        return f"{PREFIX}{self.number:06d}"

    def to_json(self) -> str:
        """Value of that tag."""
        return dumps(asdict(self), ensure_ascii=False)


def account() -> str:
    """Name of who decides: the user of MLflow's server if there is one, else the system account."""
    try:
        return server_user() or getuser()
    except (KeyError, OSError):  # an account without a name, as in some containers
        return "unknown"


def server_user() -> str:
    """User name that MLflow's server gets; empty without a user name or without a server."""
    uri = store.tracking_uri()
    if not uri.startswith("http"):
        return ""
    return urlsplit(uri).username or read_mlflow_creds().username or ""


def or_forbidden() -> str:
    """A second reason for a missing thing: MLflow's basic-auth reports a forbidden one alike."""
    return f", or {user} may not read it" if (user := server_user()) else ""


def now() -> str:
    """The time in UTC, ISO 8601."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def read(tags: dict[str, Any]) -> list[Move]:
    """The moves among a registered model's tags, oldest first.

    Raises:
        IntegrityError: a tag is not as digits writes it.
    """
    keys = sorted(key for key in tags if key.startswith(PREFIX))
    return [parse(tags[key], f"tag {key} of the registered model") for key in keys]


def parse(text: str, where: str) -> Move:
    """A move as `to_json` wrote it.

    Raises:
        IntegrityError: the text, found at `where`, is none.
    """
    try:
        return TypeAdapter(Move).validate_json(text)
    except ValidationError:
        raise IntegrityError(
            f"{where}: is no move as digits writes it; mend or delete it in MLflow"
        ) from None


def settle(moves: Sequence[Move], champion: str | None) -> list[Move]:
    """The recorded moves, corrected by the version `champion` that the alias names now.

    A last move that is pending is kept as done if the alias names its target, and dropped if
    not. If the alias names another version than the last move's target, somebody moved it by
    other means: that becomes one more move.
    """
    # a move that others follow was made; who was stopped in mid-move may have written it again
    settled = [replace(move, done=True) for move in moves[:-1]] + list(moves[-1:])
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
    """The versions that rollbacks step back through, the present champion last.

    A rollback to a version of the line drops those after it, so that the next rollback goes
    further back.
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
