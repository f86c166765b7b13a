"""The models of the page on which one draws: the champion, and who it is set beside."""

from digits.demo.server import Player
from digits.errors import UsageError
from digits.registry import models
from digits.registry.versions import CHALLENGER, CHAMPION, Registry, find


def players(name: str, *, threads: int) -> list[Player]:
    """The champion, and the challenger; where there is none, who was champion last, if any.

    Raises:
        UsageError: there is no champion yet.
    """
    parts = {CHAMPION: f"models:/{name}@{CHAMPION}", **_beside(Registry(name))}
    return [_player(part, uri, threads) for part, uri in parts.items()]


def _beside(registry: Registry) -> dict[str, str]:
    uri = f"models:/{registry.name}@{CHALLENGER}"
    try:
        find(uri)
    except UsageError:
        champion, named = registry.champion(), [move.after for move in registry.moves()]
        former = [version for version in named if version and version != champion]
        return {"former champion": registry.uri(former[-1])} if former else {}
    return {CHALLENGER: uri}


def _player(part: str, uri: str, threads: int) -> Player:
    served = models.served(uri, threads=threads)
    kind = str(served.origin.params.get("model", ""))
    return Player(part, f"{served.name} {kind}".strip(), served.shape, served.predict)
