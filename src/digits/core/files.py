"""Files: written so that a reader finds the old one or the new one, never half; and hashed."""

import hashlib
import json
import os
from collections.abc import Collection, Container, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from pydantic import TypeAdapter, ValidationError

from digits.core.errors import DataError

T = TypeVar("T")

ANEW = "`dvc repro -f` makes it anew"


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


def require_file(path: Path) -> None:
    """Refuse a pipe, socket or device, which one could wait for or read from for ever.

    Raises:
        DataError: the path is one of these; it may well be missing or a folder.
    """
    if path.exists() and not path.is_file() and not path.is_dir():
        raise DataError(f"{path}: is no regular file; write what it gives to a file first")


def md5(path: Path) -> str:
    """The md5 of a file's bytes, as DVC computes it."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "md5").hexdigest()


def folder_sha256(folder: Path, *, leave_out: Container[str] = ()) -> str:
    """The SHA-256 of a folder: of the lines that `sha256sum` prints for its files, sorted by path.

    `leave_out` names relative paths that do not count. The shell computes the same by
    `find . -type f -printf '%P\\n' | LC_ALL=C sort | xargs sha256sum | sha256sum`.
    """
    found = {p.relative_to(folder).as_posix(): p for p in folder.rglob("*") if p.is_file()}
    lines = [f"{_sha256(found[name])}  {name}\n" for name in sorted(found) if name not in leave_out]
    return text_sha256("".join(lines))


def text_sha256(text: str) -> str:
    """The SHA-256 of a text as UTF-8."""
    return hashlib.sha256(text.encode(errors="surrogateescape")).hexdigest()


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def read_json(path: Path, kind: type[T], *, keys: Collection[str] = ()) -> T:
    """Read a JSON file that a stage wrote: a value of this kind, with at least these keys.

    Raises:
        DataError: it is missing, no JSON, or another value than that.
    """
    require_file(path)
    try:
        value = TypeAdapter(kind).validate_json(path.read_bytes())
    except FileNotFoundError:
        raise DataError(f"{path}: not found; `dvc repro` makes it") from None
    except ValidationError as error:
        fault = error.errors(include_url=False)[0]
        key = ".".join(map(str, fault["loc"]))
        what = "not JSON" if fault["type"] == "json_invalid" else "not what this version writes"
        where = f"{key}: " if key else ""
        raise DataError(f"{path}: {what} ({where}{fault['msg']}); {ANEW}") from None
    missing = [key for key in keys if key not in value]  # type: ignore[operator]
    if missing:
        raise DataError(f"{path}: holds no {', '.join(missing)}; {ANEW}")
    return value
