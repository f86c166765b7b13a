"""Copies of artifacts that MLflow keeps: they may be gone, or not what was recorded."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from mlflow import MlflowClient
from mlflow.artifacts import download_artifacts, list_artifacts
from mlflow.exceptions import MlflowException
from requests import RequestException

from imageproof.base.errors import IntegrityError
from imageproof.base.files import raise_if_full, scratch, sha256
from imageproof.base.text import one_line
from imageproof.mlflow import _store

RUNS = "runs:/"
MEND = "delete the version, or put its artifacts back"


class GoneError(IntegrityError):
    """The store is there, and has no such artifacts."""


def download(uri: str, folder: Path) -> Path:
    """A copy of a file or folder in this folder."""
    address = uri
    try:
        if uri.startswith(RUNS):  # of such an address MLflow does not say why it failed
            run_id, _, path = uri.removeprefix(RUNS).partition("/")
            address = f"{MlflowClient().get_run(run_id).info.artifact_uri}/{path}"
        return Path(download_artifacts(address, dst_path=str(folder)))
    except (MlflowException, RequestException, OSError, RuntimeError) as error:  # a loop of links
        raise_if_full(error)
        if _store.is_away(error) or _is_listed(address):
            raise
        reason = one_line(str(error).rpartition("\n")[2], width=200)  # MLflow lists files first
        raise GoneError(f"{uri}: its artifacts are gone ({reason}); {MEND}") from None


def _is_listed(address: str) -> bool:
    """Whether a server lists what it did not send: then it is not gone."""
    if _store.tracking_uri().startswith(_store.SQLITE):
        return False
    folder, _, name = address.rpartition("/")
    with suppress(MlflowException):
        if address.startswith("models:/"):
            return bool(list_artifacts(address))
        return name in [Path(file.path).name for file in list_artifacts(folder)]
    return False


@contextmanager
def written_by_gate(uri: str, recorded: str) -> Iterator[Path]:
    """A copy of a file with this SHA-256; IntegrityError if it has another one, or is gone."""
    with scratch() as folder:
        path = download(uri, folder)
        if (actual := sha256(path)) != recorded:
            hashes = f"SHA-256 of it {actual[:12]}, recorded {recorded[:12]}"
            raise IntegrityError(f"{uri}: is not what the gate wrote ({hashes}); {MEND}")
        yield path
