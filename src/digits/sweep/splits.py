"""The splits of a trial, fetched by hash: a worker shares no folder with who sends the trial."""

import hashlib
from pathlib import Path

import fsspec  # type: ignore[import-untyped]

from digits.core.addresses import without_credentials
from digits.core.artifacts import split_path
from digits.core.dataset import Dataset, load_split
from digits.core.errors import IntegrityError, ServiceError, UsageError
from digits.core.files import replacing
from digits.core.provenance import OUTPUTS, recorded_outputs

FOLDER = Path(".state/splits")


def digests(names: list[str], root: Path = Path()) -> dict[str, str]:
    """The md5 that DVC recorded for each of these splits.

    Raises:
        UsageError: dvc.lock does not hold them.
    """
    recorded = recorded_outputs(root)
    try:
        return {name: recorded[split_path(name)] for name in names}
    except LookupError:
        raise UsageError(
            f"{root / OUTPUTS}: no splits are recorded; `dvc repro split` makes them"
        ) from None


def fetch(md5: str, source: str, folder: Path = FOLDER) -> Dataset:
    """A split from a DVC remote or cache, kept in `folder` and checked by its hash on every use.

    Args:
        md5: Which one.
        source: Address of the remote: a folder, s3://…, https://….

    Raises:
        ServiceError: the remote does not answer or does not have it.
        IntegrityError: what it has is not what the hash says.
    """
    path = folder / f"{md5}.npz"
    if not path.exists() or _md5(path.read_bytes()) != md5:
        content = _download(f"{source.rstrip('/')}/files/md5/{md5[:2]}/{md5[2:]}")
        if _md5(content) != md5:
            raise IntegrityError(f"{source}: the file of md5 {md5} has md5 {_md5(content)}")
        with replacing(path) as temporary:
            temporary.write_bytes(content)
    return load_split(path).data


def _download(address: str) -> bytes:
    try:
        with fsspec.open(address) as file:
            return bytes(file.read())
    except Exception as error:  # each protocol has its own
        reason = " ".join(str(error).split())
        line = f"{address}: {type(error).__name__}: {reason}"
        raise ServiceError(without_credentials(line, address)) from None


def _md5(content: bytes) -> str:
    return hashlib.md5(content, usedforsecurity=False).hexdigest()
