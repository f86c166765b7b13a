"""Files: written so that a reader finds the old one or the new one, never half; and hashed."""

import hashlib
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from digits.errors import DataError


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside `path`; what was written there takes its place on success.

    The temporary name keeps the suffix, since writers choose the format by it.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{os.getpid()}-{path.name}")
    try:
        yield temporary
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Write UTF-8 text atomically."""
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path: Path, value: Any) -> None:
    """Write JSON atomically, the same bytes for the same value; NaN is refused, not written."""
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def md5(path: Path) -> str:
    """The md5 of a file's bytes, as DVC computes it."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "md5").hexdigest()


def read_json(path: Path) -> Any:
    """Read a JSON file that a stage wrote.

    Raises:
        DataError: it is missing or no JSON.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise DataError(f"{path}: not found; `dvc repro` makes it") from None
    except ValueError as error:
        raise DataError(f"{path}: not JSON ({error}); `dvc repro -f` makes it anew") from None
