"""Fetch a trial's splits by hash: a worker need not share a folder with the sweep."""

from pathlib import Path

import fsspec  # type: ignore[import-untyped]

from digits.core import files
from digits.core.addresses import without_credentials
from digits.core.dataset import Dataset, load_split
from digits.core.errors import IntegrityError, ServiceError

FOLDER = Path(".state/splits")


def fetch(md5: str, source: str, folder: Path = FOLDER) -> Dataset:
    """Fetch a split from a DVC remote or cache, unless `folder` holds it undamaged.

    Args:
        md5: The hash of the split's file.
        source: Address of the remote: a folder, s3://…, https://….
        folder: Where to keep it.

    Raises:
        ServiceError: the remote does not answer, or does not have the file.
        IntegrityError: the file in the remote has another md5.
    """
    path = folder / f"{md5}.npz"
    if not path.exists() or files.md5(path) != md5:
        with files.replacing(path) as temporary:
            _download(f"{source.rstrip('/')}/files/md5/{md5[:2]}/{md5[2:]}", temporary)
            if (wrong := files.md5(temporary)) != md5:
                raise IntegrityError(f"{source}: the file of md5 {md5} has md5 {wrong}")
    return load_split(path).data


def _download(address: str, path: Path) -> None:
    try:
        filesystem, name = fsspec.url_to_fs(address)
        filesystem.get_file(name, str(path))
    except Exception as error:  # each protocol has its own
        line = " ".join(f"{address}: {type(error).__name__}: {error}".split())
        raise ServiceError(without_credentials(line, address)) from None
