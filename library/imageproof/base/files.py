"""Files: written atomically, read strictly, hashed."""

import errno
import hashlib
import json
import os
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from importlib.resources.abc import Traversable
from pathlib import Path
from tempfile import TemporaryDirectory, gettempdir
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError

from imageproof.base.errors import DataError, ImageproofError, UsageError
from imageproof.base.text import one_line

T = TypeVar("T")

REBUILD_HINT = "`dvc repro -f` makes it anew"
MAX_YAML = 100_000


class StrictModel(BaseModel):
    """Base of every block that is read from YAML: no unknown key, no conversion, no NaN; frozen."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a temporary path of the same suffix; on success its file replaces `path` at once."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".new-{path.name}")  # what a killed process left is replaced
    try:
        with writing_to(path):
            yield temporary
            temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def scratch(parent: Path | None = None) -> Iterator[Path]:
    """A temporary folder in `parent`, by default the system's; deleted after the block."""
    # a process that was ended may still write there
    folder = TemporaryDirectory(prefix="imageproof-", dir=parent, ignore_cleanup_errors=True)
    with folder as name, writing_to(Path(name).parent):
        yield Path(name)


@contextmanager
def writing_to(path: Path) -> Iterator[None]:
    """Add this path to the error of a full disk, which has none where a file is written to."""
    try:
        yield
    except OSError as error:
        if not error.filename:
            raise_if_full(error, path)
        raise


def raise_if_full(error: Exception, path: Path | None = None) -> None:
    """Raise an OSError with this path, by default that of temporary files, if a disk is full.

    `error` may be of a tool that only quotes the OSError.
    """
    reason = os.strerror(errno.ENOSPC)
    if reason in str(error):
        raise OSError(errno.ENOSPC, reason, str(path or gettempdir())) from error


def parse_yaml(text: str) -> Any:
    """Parse YAML 1.2 as plain values, as DVC does: `1e-05` is a number; errors are ruamel's."""
    from ruamel.yaml import YAML
    from ruamel.yaml.error import YAMLError
    from ruamel.yaml.events import AliasEvent

    yaml = YAML(typ="safe", pure=True)
    kinds = {*map(type, yaml.parse(text))} if "*" in text else ()
    if AliasEvent in kinds:  # may stand for billions of values
        raise YAMLError("an alias (*name) is not allowed; write out what it stands for")
    value = yaml.load(text)
    repr(value)  # a ValueError if a number is thousands of characters long, as 0xfff… may be
    return value


def flatten(values: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Flatten nested mappings into one with dotted keys; lists stay whole."""
    flat: dict[str, Any] = {}
    for name, value in values.items():
        key = f"{prefix}{name}"
        flat |= flatten(value, f"{key}.") if isinstance(value, dict) else {key: value}
    return flat


def read_yaml(path: Path) -> Any:
    """Read a YAML file that a person wrote; a UsageError if it is none, or over MAX_YAML bytes."""
    check_size(path, MAX_YAML, UsageError)
    try:
        return parse_yaml(path.read_text(encoding="utf-8"))
    except Exception as error:  # the constructor of each value type raises its own errors
        raise UsageError(f"{path}: not YAML: {one_line(error, width=300)}") from None


def check_size(
    path: Path,
    limit: int,
    kind: type[ImageproofError] = DataError,
) -> None:
    """Raise an error of this kind if a file has more bytes."""
    size = path.stat().st_size
    if size > limit:
        raise kind(f"{path}: has {size:,} bytes; at most {limit:,} are allowed")


def write_text(path: Path, text: str) -> None:
    """Write UTF-8 text atomically."""
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path: Path, value: Any) -> None:
    """Write JSON atomically: equal values give equal bytes; NaN raises a ValueError."""
    text = json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False)
    write_text(path, f"{text}\n")


@contextmanager
def parsing(form: str, path: Path | str) -> Iterator[None]:
    """Raise a DataError for whatever a library raises in this block about a damaged file."""
    try:
        if Path(path).is_fifo() or Path(path).is_char_device():
            raise DataError(f"{path}: is a pipe or a device; a file is allowed")  # may never end
        yield
    except ImageproofError:
        raise
    except FileNotFoundError as error:
        raise DataError(f"{error.filename or path}: not found") from None
    except IsADirectoryError as error:
        raise DataError(f"{error.filename or path}: is a folder; a file is allowed") from None
    except Exception as error:
        if getattr(error, "errno", 0) == errno.ENOSPC:  # of what is unpacked, not of this file
            raise
        reason = one_line(error, width=200) or type(error).__name__
        raise DataError(f"{path}: cannot be read as {form}: {reason}") from None


def md5(path: Path) -> str:
    """The md5 of a file's bytes, as DVC computes it."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "md5").hexdigest()


def sha256(path: Path) -> str:
    """The SHA-256 of a file's bytes, in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def text_sha256(text: str) -> str:
    """The SHA-256 of a text in UTF-8, in hex; file names that are no UTF-8 count as their bytes."""
    return hashlib.sha256(text.encode(errors="surrogateescape")).hexdigest()


def folder_sha256(folder: Path, *, leave_out: Collection[str] = ()) -> str:
    """The SHA-256 of what this prints in the folder, of which `leave_out` names paths to ignore:

    `find . -type f -printf '%P\\n' | LC_ALL=C sort | xargs sha256sum`.
    """
    files = [path for path in folder.rglob("*") if path.is_file()]
    names = {path.relative_to(folder).as_posix() for path in files}
    names.difference_update(leave_out)
    lines = [f"{sha256(folder / name)}  {name}\n" for name in sorted(names)]
    return text_sha256("".join(lines))


def read_json(path: Path, kind: type[T]) -> T:
    """A JSON file of a stage, of type `kind`; a DataError if it is not."""
    try:
        return TypeAdapter(kind).validate_json(path.read_bytes())
    except FileNotFoundError:
        raise DataError(f"{path}: not found; `dvc repro` makes it") from None
    except ValidationError as error:
        reason = first_fault(error)
        raise DataError(f"{path}: not as a stage writes it ({reason}); {REBUILD_HINT}") from None


def first_fault(error: ValidationError) -> str:
    """Where JSON is not as a type says, and why."""
    fault = error.errors(include_url=False)[0]
    return one_line(": ".join(map(str, (*fault["loc"], fault["msg"]))), width=200)


def template_file(file: Traversable) -> Traversable:
    """The file of this name in `templates/` of the current folder, else the library's own."""
    own_file = Path("templates", file.name)
    return own_file if own_file.is_file() else file
