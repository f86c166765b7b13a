"""Files here or in an object store: an address is a path, or `s3://bucket/key` for fsspec."""

import fcntl
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path, PurePath
from typing import Any

import fsspec  # type: ignore[import-untyped]
import pyarrow as pa
import pyarrow.dataset as ds
from fsspec.core import strip_protocol  # type: ignore[import-untyped]

from imageproof.base.errors import BusyError, DataError, ImageproofError, ServiceError, UsageError
from imageproof.base.files import replacing, scratch
from imageproof.base.text import one_line
from imageproof.system._repository import try_git


def local_path(address: str) -> Path | None:
    """The path of an address on this machine; None of a remote one."""
    if address.startswith(("file://", "local://")):
        return Path(strip_protocol(address))
    return None if "://" in address else Path(address)


def absolute(address: str) -> str:
    """The same address seen from any folder, through links, without a slash at its end."""
    path = local_path(address)
    return str(path.resolve()) if path else address.rstrip("/")


def is_folder(address: str) -> bool:
    """Whether it is a folder to write to: ends in a slash, exists, or is remote without suffix."""
    path = local_path(address)
    is_one = path.is_dir() if path else not PurePath(address).suffix
    return is_one or address.endswith("/")


def check_out(
    option: str,
    address: str | Path,
    replaceable: Callable[[str], bool] | None = None,
    *,
    hint: str = "delete it, or choose another name",
) -> bool:
    """Refuse to write to an address where something of the user's is; whether something is there.

    It may be there if `replaceable` says so of it. What git tracks is not, nor anything in the
    folders of git and DVC, through links neither.
    """
    address = str(address)
    path = local_path(address)
    paths = {path.absolute(), path.resolve()} if path else set()
    if any({".git", ".dvc"} & {*Path(os.path.relpath(file)).parts} for file in paths):
        raise UsageError(f"{option} {address}: belongs to git or DVC; choose another name")
    if path:
        if any(map(Path.is_file, path.parents)):
            raise UsageError(f"{option} {address}: is below a file; choose another name")
        is_there = os.path.lexists(path)  # were it a link to nothing
    else:
        with filesystem_of(address) as (filesystem, name):
            is_there = bool(filesystem.exists(name))
    if is_there and not (replaceable and replaceable(address)):
        raise UsageError(f"{option} {address}: exists; {hint}")
    if is_there and any(map(_is_tracked, paths)):
        raise UsageError(f"{option} {address}: git tracks it; choose another name")
    return is_there


def _is_tracked(path: Path) -> bool:
    options = ("-C", str(path.parent), "--literal-pathspecs")
    return bool(try_git(*options, "ls-files", "--", path.name))


def stored_files(address: str) -> list[str]:
    """The files at or below an absolute address, sorted; no names with a dot or an underscore."""
    with filesystem_of(address) as (filesystem, name):
        filesystem.invalidate_cache()
        paths = sorted(ds.dataset(name, pa.schema([]), "csv", filesystem).files)
        # fsspec would write s3:// where the address has s3a://
        return [address + path[len(name) :] for path in paths]


@contextmanager
def local_copy(address: str) -> Iterator[Path]:
    """The file, or folder without those below it; if it is remote, a copy for the block."""
    if "://" not in address:
        yield Path(address)
        return
    with scratch() as folder:
        copy = folder / PurePath(address).name
        with filesystem_of(address) as (filesystem, name):
            if filesystem.isdir(name):  # with one file in it, fsspec would take it for a file
                copy.mkdir()
                parts = filesystem.ls(name, detail=True)
                names = [part["name"] for part in parts if part["type"] == "file"]
                filesystem.get(names, [str(copy / PurePath(name).name) for name in names])
            else:
                filesystem.get_file(name, str(copy))
        try:
            yield copy
        except DataError as error:
            address = address.rstrip("/")
            raise DataError(*(f.replace(str(copy), address) for f in error.findings)) from None


@contextmanager
def writing(address: str) -> Iterator[Path]:
    """Yield a temporary path; on success the file written there is at the address, whole.

    BusyError if another process writes this file.
    """
    if path := local_path(address):
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.with_name(f".new-{path.name}").open("ab") as held:  # the temporary path
            try:
                fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                reason = "another process is writing it; try again when it has ended"
                raise BusyError(f"{address}: {reason}") from None
            with replacing(path) as temporary:
                yield temporary
        return
    with scratch() as folder:
        yield folder / "content"
        with filesystem_of(address) as (filesystem, name):
            filesystem.put_file(str(folder / "content"), name)


@contextmanager
def filesystem_of(address: str) -> Iterator[tuple[Any, str]]:
    """The fsspec filesystem of an address and the name in it; its errors are one line."""
    try:
        yield fsspec.url_to_fs(absolute(address))
    except ImageproofError:
        raise
    except FileNotFoundError:
        raise DataError(f"{address}: not found") from None
    except Exception as error:  # each store has its own
        reason = f"{type(error).__name__}: {one_line(error, width=200)}"
        raise ServiceError(f"{address}: {reason}") from None
