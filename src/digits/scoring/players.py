"""The models of the page on which one draws: the champion, and who it is set beside."""

from digits.core.errors import UsageError
from digits.registry.served import served
from digits.registry.versions import CHALLENGER, CHAMPION, Registry, find
from digits.scoring.demo import Player


def players(name: str, *, threads: int) -> list[Player]:
    """The champion, and the challenger; where there is none, who was champion last, if any.

    Raises:
        UsageError: there is no champion yet.
    """
    parts = {CHAMPION: f"models:/{name}@{CHAMPION}", **_beside(Registry(name))}
    return [_player(part, uri, threads) for part, uri in parts.items()]


def _beside(registry: Registry) -> dict[str, str]:
    """The first of these that exists and is another version than the champion."""
    champion, moves = registry.champion(), registry.moves()
    former = [("former champion", registry.uri(m.after)) for m in reversed(moves) if m.after]
    for part, uri in [(CHALLENGER, f"models:/{registry.name}@{CHALLENGER}"), *former]:
        version = _version(uri)
        if version not in (None, champion):
            return {part: uri}
    return {}


def _version(uri: str) -> str | None:
    try:
        return str(find(uri).version)
    except UsageError:
        return None


def _player(part: str, uri: str, threads: int) -> Player:
    with served(uri, threads=threads) as model:
        kind = str(model.origin.params.get("model", ""))
        return Player(
            part, f"{model.name} {kind}".strip(), model.shape, model.picture, model.predict
        )
