"""Files here or in an object store: an address is a path, or `s3://bucket/key` for fsspec."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePath
from typing import Any

import fsspec  # type: ignore[import-untyped]
from fsspec.core import strip_protocol  # type: ignore[import-untyped]

from imageproof.base.errors import DataError, ImageproofError, ServiceError, one_line
from imageproof.base.files import replacing, scratch


def absolute(address: str) -> str:
    """The same address seen from any folder, through links, without a slash at its end."""
    if "://" in address and not address.startswith(("file://", "local://")):
        return address.rstrip("/")
    return str(Path(strip_protocol(address)).resolve())


def is_within(address: str, folder: str) -> bool:
    return PurePath(absolute(address)).is_relative_to(absolute(folder))


def is_folder(address: str) -> bool:
    """Whether it is a folder to write to: ends in a slash, exists, or is remote without suffix."""
    is_one = not PurePath(address).suffix if "://" in address else Path(address).is_dir()
    return is_one or address.endswith("/")


def stored_files(address: str) -> dict[str, str]:
    """The files at or below an address, sorted, each with size and time (or ETag)."""
    files = {}
    with filesystem_of(address) as (filesystem, name):
        filesystem.invalidate_cache()
        for path, info in sorted(filesystem.find(name, detail=True).items()):
            written = info.get("ETag") or info.get("mtime") or info.get("LastModified")
            # left out as by Spark, Dask and Arrow
            if not any(part.startswith((".", "_")) for part in path[len(name) :].split("/")):
                where = filesystem.unstrip_protocol(path) if "://" in address else path
                files[where] = f"{info['size']} {written}"
    if not files:
        raise DataError(f"{address}: not found, or an empty folder")
    return files


@contextmanager
def local_copy(address: str) -> Iterator[Path]:
    """The file, or folder without those below it; if it is remote, a copy for the block."""
    if "://" not in address:
        yield Path(address)
        return
    with scratch() as folder:
        copy = folder / PurePath(address).name
        with filesystem_of(address) as (filesystem, name):
            filesystem.get(name, str(copy), recursive=True, maxdepth=1)
        try:
            yield copy
        except DataError as error:
            address = address.rstrip("/")
            raise DataError(*(f.replace(str(copy), address) for f in error.findings)) from None


@contextmanager
def writing(address: str) -> Iterator[Path]:
    """Yield a temporary path; on success the file written there is at the address, whole."""
    if "://" not in address:
        with replacing(Path(address)) as temporary:
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
        yield fsspec.url_to_fs(address)
    except ImageproofError:
        raise
    except FileNotFoundError:
        raise DataError(f"{address}: not found") from None
    except Exception as error:  # each store has its own
        reason = f"{type(error).__name__}: {one_line(error, width=200)}"
        raise ServiceError(f"{address}: {reason}") from None
