"""Verified copies of what MLflow keeps: a model's files, and what the gate wrote of a version."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple

import mlflow
from mlflow import MlflowClient
from mlflow.artifacts import download_artifacts, list_artifacts
from mlflow.exceptions import MlflowException
from mlflow.models import Model
from requests import RequestException

from imageproof.base import _inference
from imageproof.base._class_names import class_names
from imageproof.base._dataset import Images, Shape, check_shape
from imageproof.base._inference import Network
from imageproof.base.errors import DataError, IntegrityError
from imageproof.base.files import REBUILD_HINT, parsing, raise_if_full, scratch, sha256
from imageproof.base.text import one_line
from imageproof.mlflow import _store
from imageproof.mlflow._logged_model import MODEL_SHA256, files_sha256
from imageproof.mlflow._runs import tag
from imageproof.outputs import Calibration, read_calibration

RUNS = "runs:/"
MEND = "put its artifacts back, or delete the version and its run"
NETWORK = "model.onnx"


class ModelFiles(NamedTuple):
    """A copy of a model's files, and what its description says.

    `signature` is text (`uint8 (-1, 28, 28) → float32 (-1, 10)`), `shape` that of an image,
    `class_names` are numbers if the classes have no names.
    """

    uri: str
    folder: Path
    signature: str
    shape: Shape
    classes: int
    class_names: list[str]

    @property
    def network(self) -> Path:
        return self.folder / NETWORK

    @property
    def calibration(self) -> Calibration:
        return read_calibration(self.folder / "extra_files" / "calibration.npz")

    def load(self, *, threads: int) -> Network:
        return _inference.load(self.network, threads=threads)

    def inconsistency(self, images: Images) -> tuple[str, int]:
        return _inference.inconsistency(self.network, images)

    def load_as_served(self) -> Any:
        """MLflow's PyFuncModel."""
        with parsing("MLflow model", self.network):
            return mlflow.pyfunc.load_model(str(self.folder))


@contextmanager
def fetched(uri: str, recorded: str) -> Iterator[ModelFiles]:
    """A copy of a model's files; IntegrityError if gone, changed, or logged by no such project.

    So is what the block reads of them, if it is damaged.
    """
    if not recorded:  # perhaps another project's, of which nothing is to be deleted
        raise IntegrityError(f"{uri}: lacks the tag {tag(MODEL_SHA256)} of models logged here")
    with scratch() as temporary:
        folder = download(uri, temporary)
        if not any(folder.iterdir()):  # MLflow copies a local folder that is not there so
            raise IntegrityError(f"{uri}: its artifacts are gone; {MEND}")
        if (actual := files_sha256(folder)) != recorded:
            raise IntegrityError(
                f"{uri}: its files are not those that were logged (SHA-256 of all {actual[:12]}, "
                f"recorded {recorded[:12]}); {MEND}"
            )
        try:
            yield _read_description(uri, folder)
        except DataError as error:
            if str(folder) not in str(error):
                raise
            reason = str(error).replace(f"{folder}/", "").removesuffix(f"; {REBUILD_HINT}")
            raise IntegrityError(f"{uri}: {reason}; {MEND}") from None


def _read_description(uri: str, folder: Path) -> ModelFiles:
    """What MLmodel says. MLflow would run code that it names: only its ONNX loader is allowed."""
    try:
        description = Model.load(folder)
        flavor = description.flavors["python_function"]
        loader = flavor["loader_module"], flavor["data"], flavor.get("code")
        if loader != ("mlflow.onnx", NETWORK, None):
            raise ValueError("loaded by {} from {}, code {}".format(*loader))
        [images] = description.signature.inputs.inputs
        answers, *_ = description.signature.outputs.inputs
        _, *shape = images.shape
        _, classes = answers.shape
        check_shape(shape)
        names = class_names(classes, (description.metadata or {}).get("class_names"))
    except Exception as error:  # damaged YAML fails anywhere in MLflow
        reason = one_line(error, width=200) or type(error).__name__
        raise IntegrityError(f"{uri}: MLmodel does not describe it ({reason}); {MEND}") from None
    text = f"{images.type} {images.shape} → {answers.type} {answers.shape}"
    return ModelFiles(uri, folder, text, (*shape,), classes, names)


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
    except (MlflowException, RequestException, OSError) as error:
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


def written_by_gate(uri: str, recorded: str) -> bytes:
    """A file with this SHA-256; IntegrityError if it has another one, or is gone."""
    with scratch() as folder:
        path = download(uri, folder)
        if (actual := sha256(path)) != recorded:
            hashes = f"SHA-256 of it {actual[:12]}, recorded {recorded[:12]}"
            raise IntegrityError(f"{uri}: is not what the gate wrote ({hashes}); {MEND}")
        return path.read_bytes()
