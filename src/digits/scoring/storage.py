"""Files on this machine or in an object store: an address is a path, or `s3://bucket/key`.

fsspec reads and writes what is not on this machine; credentials and endpoint of S3 come from the
environment (`AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY`, `AWS_ENDPOINT_URL`).
"""

import io
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path, PurePath
from typing import IO, Any, NamedTuple
from uuid import uuid4

import fsspec  # type: ignore[import-untyped]
from fsspec.core import strip_protocol  # type: ignore[import-untyped]
from fsspec.implementations.local import LocalFileSystem  # type: ignore[import-untyped]

from digits.core.addresses import without_credentials
from digits.core.errors import DataError, DigitsError, ServiceError, one_line, printable
from digits.core.files import require_file, scratch

BLOCK = 8 << 20  # bytes of a request to an object store


class StoredFile(NamedTuple):
    """A file: its address, bytes, and a stamp that is another one after it was written anew."""

    address: str
    size: int
    stamp: str

    @property
    def folder(self) -> str:
        """The address of the folder that it is in."""
        return self.address.rpartition("/")[0]

    @property
    def name(self) -> str:
        """Its name in that folder."""
        return self.address.rpartition("/")[2]


def is_remote(address: str) -> bool:
    """Whether it is no path."""
    return "://" in address


def absolute(address: str) -> str:
    """The same address seen from any folder, without a slash at its end."""
    return address.rstrip("/") if is_remote(address) else str(Path(address).resolve())


def is_folder(address: str) -> bool:
    """Whether it is a folder to write to: ends in a slash, exists, or is remote without suffix."""
    if is_remote(address):
        return address.endswith("/") or not PurePath(address).suffix
    return address.endswith("/") or Path(address).is_dir()


def stored_files(address: str) -> list[StoredFile]:
    """The file at the address, or all files below it in the order of their addresses.

    Names that begin with a dot or underscore are left out, as Spark, Dask and Arrow do.

    Raises:
        DataError: nothing is there.
        ServiceError: the object store does not answer.
    """
    with _answering(address) as (filesystem, name):
        filesystem.invalidate_cache()
        found = filesystem.find(name, detail=True)
    if not found:
        raise DataError(f"{address}: not found, or an empty folder")
    files = [_stored(filesystem, info) for _, info in sorted(found.items())]
    depth = len(address.rstrip("/"))
    return [file for file in files if not _is_hidden(file.address[depth:])]


def check_unchanged(files: Sequence[StoredFile]) -> None:
    """Raise a DataError if one of the files, which are in one folder, was written anew."""
    there = files[0].address if len(files) == 1 else files[0].folder
    now = {*stored_files(there)}
    if changed := [file.address for file in files if file not in now]:
        raise DataError(f"{changed[0]}: changed while it was scored; score it again")


@contextmanager
def reading(address: str) -> Iterator[IO[bytes]]:
    """The file's bytes; of an object store's only those that are read are fetched."""
    with _answering(address) as (filesystem, name):
        file = filesystem.open(name, "rb", block_size=BLOCK)
    with file:
        yield io.BufferedReader(_Remote(address, file)) if is_remote(address) else file


class _Remote(io.RawIOBase):
    """A file whose store may go away: readers take other errors for damage of the file."""

    def __init__(self, address: str, file: IO[bytes]) -> None:
        self._address, self._file = address, file

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        with _answering(self._address):
            return self._file.readinto(buffer)  # type: ignore[attr-defined, no-any-return]

    def seek(self, offset: int, whence: int = 0) -> int:
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        return self._file.tell()


@contextmanager
def local_copies(files: Sequence[StoredFile]) -> Iterator[list[Path]]:
    """The files on this machine; those of an object store are there for the time of the block.

    What errors say of the copies is said of the files.
    """
    if not is_remote(files[0].address):
        yield [Path(file.address) for file in files]
        return
    folder = files[0].folder
    with scratch() as temporary:
        paths = [temporary / file.name for file in files]
        with _answering(folder) as (filesystem, _):
            filesystem.get([strip_protocol(file.address) for file in files], [*map(str, paths)])
        try:
            yield paths
        except DigitsError as error:
            said = (finding.replace(str(temporary), folder) for finding in error.findings)
            raise type(error)(*said) from None


@contextmanager
def writing(address: str) -> Iterator[Path]:
    """Yield a temporary path; on success the file written there is at the address, whole."""
    if is_remote(address):
        with scratch() as folder:
            yield folder / "content"
            with _answering(address) as (filesystem, name):
                filesystem.put_file(str(folder / "content"), name)
        return
    # unlike the name of `files.replacing`, it is this thread's own
    temporary = Path(address).with_name(f".{uuid4().hex}")
    temporary.parent.mkdir(parents=True, exist_ok=True)
    try:
        yield temporary
        temporary.replace(address)
    finally:
        temporary.unlink(missing_ok=True)


def names_in(folder: str) -> set[str]:
    """The names of the files directly in a folder, which may be missing."""
    with _answering(folder) as (filesystem, name):
        filesystem.invalidate_cache()
        return {path.rpartition("/")[2] for path in filesystem.find(name, maxdepth=1)}


def delete(addresses: Sequence[str]) -> None:
    """Delete files; those that are gone already are no error."""
    for address in addresses:
        with _answering(address) as (filesystem, name):
            if filesystem.exists(name):
                filesystem.rm_file(name)


def _stored(filesystem: Any, info: dict[str, Any]) -> StoredFile:
    address = info["name"]
    if isinstance(filesystem, LocalFileSystem):
        require_file(Path(address))
    else:
        address = filesystem.unstrip_protocol(address)
    stamp = info.get("ETag") or info.get("mtime") or info.get("LastModified") or ""
    return StoredFile(address, int(info["size"]), str(stamp).strip('"'))


def _is_hidden(relative: str) -> bool:
    return any(part.startswith((".", "_")) for part in relative.split("/"))


@contextmanager
def _answering(address: str) -> Iterator[tuple[Any, str]]:
    """The filesystem and the name in it; its errors are one line."""
    try:
        yield fsspec.url_to_fs(address)
    except (DigitsError, GeneratorExit):
        raise
    except FileNotFoundError:
        raise DataError(f"{address}: not found") from None
    except Exception as error:  # each store has its own
        if not is_remote(address) and isinstance(error, OSError):
            raise
        line = f"{address}: {type(error).__name__}: {one_line(error, width=200)}"
        raise ServiceError(printable(without_credentials(line, address))) from None
