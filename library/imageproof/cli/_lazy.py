"""Modules that are imported when a command first needs them, so that the help comes at once."""

from importlib import import_module
from typing import Any


class Lazy:
    """A module of the library, by its name within it, such as `answer.score`."""

    def __init__(self, name: str) -> None:
        self._name = f"imageproof.{name}"

    def __getattr__(self, attribute: str) -> Any:
        return getattr(import_module(self._name), attribute)
