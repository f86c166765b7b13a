"""Reading params.yaml and checking it against pydantic models: a line per fault."""

import reprlib
import time
from collections.abc import Iterable, Mapping, MutableMapping, Sequence
from contextlib import suppress
from difflib import get_close_matches
from pathlib import Path
from typing import Any, TypeVar, get_args

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from imageproof.base.errors import UsageError
from imageproof.base.files import read_yaml

PATH = Path("params.yaml")
AWAY_S = 2.0  # for which an experiment that starts may take the file away, or empty it
POLL_S = 0.05
Block = TypeVar("Block", bound=BaseModel)


def read(path: Path = PATH) -> dict[str, Any]:
    """Read the file as plain values, unchecked; a UsageError if it is no YAML mapping.

    `dvc exp run --temp` stashes the workspace at its start: for a moment the file is not there, or
    empty.
    """
    end = time.monotonic() + AWAY_S
    while (raw := _content(path)) is None and Path(".dvc").is_dir() and time.monotonic() < end:
        time.sleep(POLL_S)
    if not path.is_file():
        raise UsageError(f"{path}: not found; run from the project's folder")
    if not isinstance(raw, dict):
        raise UsageError(f"{path}: is a {type(raw).__name__}, not a mapping of blocks")
    return raw


def _content(path: Path) -> Any:
    """What the file holds; None if it is not there, or empty."""
    with suppress(FileNotFoundError):
        return read_yaml(path)
    return None


def set_keys(values: MutableMapping[str, Any], overrides: Mapping[str, Any]) -> None:
    """Set dotted keys such as `train.cnn.fit.epochs`, unchecked, also such as were left out.

    A UsageError for a key within what is no block.
    """
    for key, value in overrides.items():
        *blocks, last = key.split(".")
        block: Any = values
        for name in blocks:
            block = block.setdefault(name, {})
            if not isinstance(block, MutableMapping):
                raise UsageError(_unknown(key, ()))
        block[last] = value


def get_by_path(value: Any, key: str) -> Any:
    """The value of a dotted key; None if there is none."""
    for name in key.split("."):
        value = value.get(name) if isinstance(value, MutableMapping) else None
    return value


def validated(kind: type[Block], raw: Any, prefix: str = "") -> Block:
    """The values as a pydantic model; a UsageError has a line per fault, `prefix` is their key."""
    try:
        return kind.model_validate(raw)
    except ValidationError as error:
        details = error.errors(include_url=False)
        raise UsageError(*(_finding(detail, prefix, kind) for detail in details)) from None


def _finding(error: ErrorDetails, prefix: str, kind: type[BaseModel]) -> str:
    is_unknown = error["type"] == "extra_forbidden"
    names = [prefix, *map(str, error["loc"])]
    # pydantic names the type where a key may have several, such as `literal['auto']`
    key = ".".join(name for name in names if name and (is_unknown or "[" not in name))
    if error["type"] == "missing":
        return f"{PATH} {key}: missing"
    if is_unknown:
        return _unknown(key, _keys(kind, error["loc"][:-1]))
    message = error["msg"].removeprefix("Value error, ").partition(" or instance of ")[0]
    # the message of a block that contradicts itself says all
    value = "" if error["type"] == "value_error" else f"{reprlib.repr(error['input'])}: "
    return f"{PATH} {key}: {value}{message[0].lower()}{message[1:]}"


def _unknown(key: str, keys: Iterable[str]) -> str:
    near = get_close_matches(key.split(".")[-1], keys, n=1)
    return f"{PATH} {key}: unknown key{f'; did you mean {near[0]}?' if near else ''}"


def _keys(kind: type[BaseModel], names: Sequence[int | str]) -> list[str]:
    fields = {field.alias or name: field.annotation for name, field in kind.model_fields.items()}
    if not names:
        return [*fields]
    inner = fields.get(str(names[0]))
    blocks = [kind for kind in (inner, *get_args(inner)) if hasattr(kind, "model_fields")]
    return _keys(blocks[0], names[1:]) if blocks else []
