"""The command line of a project."""

import sys
from importlib import import_module
from types import ModuleType


def __getattr__(name: str) -> ModuleType:
    """A module of this room; one with git's markers, as `update` leaves them, ends with a line."""
    try:
        return import_module(f"{__name__}.{name}")
    except ModuleNotFoundError:
        raise AttributeError(name) from None
    except SyntaxError as error:
        sys.exit(f"error: {error.filename}:{error.lineno}: {error.msg}; mend it")
