"""YAML of persons and of DVC: read as DVC reads it, without aliases and within limits."""

from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.composer import Composer, ComposerError
from ruamel.yaml.error import MarkedYAMLError
from ruamel.yaml.events import AliasEvent

from digits.core.errors import UsageError, one_line

MAX_BYTES = 100_000  # of YAML that a person writes
MAX_DEPTH = 50


class _NoAliases(Composer):
    """A few nested aliases can stand for billions of values."""

    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.loader.parser.check_event(AliasEvent):
            mark = self.loader.parser.peek_event().start_mark
            raise ComposerError(problem="an alias (*name) is not allowed", problem_mark=mark)
        return super().compose_node(parent, index)


def parse_yaml(text: str) -> Any:
    """Parse YAML 1.2 as plain values: `1e-05` is a number, a repeated key is an error.

    Raises:
        YAMLError, ValueError, RecursionError: it is not YAML, has aliases or is nested too deeply.
    """
    yaml = YAML(typ="safe", pure=True)
    yaml.Composer, yaml.max_depth = _NoAliases, MAX_DEPTH
    return yaml.load(text)


def read_yaml(path: Path) -> Any:
    """Read a YAML file that a person wrote, of at most MAX_BYTES; a UsageError if it is none."""
    if path.exists() and not path.is_file():
        raise UsageError(f"{path}: is no regular file")
    if (size := path.stat().st_size) > MAX_BYTES:
        raise UsageError(f"{path}: has {size:,} bytes; at most {MAX_BYTES:,} are allowed")
    try:
        return parse_yaml(path.read_text(encoding="utf-8"))
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = mark.line + 1 if mark else 1
        raise UsageError(f"{path}:{line}: not YAML: {error.problem or error.context}") from None
    except Exception as error:  # the constructor of each value type raises its own errors
        raise UsageError(f"{path}: not YAML: {one_line(error, width=300)}") from None
