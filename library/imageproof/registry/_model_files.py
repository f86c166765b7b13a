"""The files of a registered or logged model, verified by their recorded hash."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from math import prod
from pathlib import Path
from typing import Any, NamedTuple

import mlflow
from mlflow.models import Model

from imageproof.base import _inference
from imageproof.base._dataset import Images, Shape, check_shape
from imageproof.base._inference import Features, Network
from imageproof.base.errors import DataError, IntegrityError
from imageproof.base.files import REBUILD_HINT, parsing, scratch
from imageproof.base.text import one_line
from imageproof.mlflow._logged_model import files_sha256
from imageproof.outputs import Calibration, read_calibration
from imageproof.registry._downloads import MEND, download

NETWORK = "model.onnx"
CALIBRATION = Path("extra_files", "calibration.npz")
MAX_VALUES = 75_000_000  # of an image: those of the largest picture that is read


class ModelFiles(NamedTuple):
    """A copy of a model's files, and what its description says; IntegrityError if one is damaged.

    `signature` is text (`uint8 (-1, 28, 28) → float32 (-1, 10)`), `shape` that of an image,
    `class_names` are numbers if it was logged without names.
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
        with self._undamaged():
            return read_calibration(self.folder / CALIBRATION)

    def load(self, *, threads: int) -> Network:
        with self._undamaged():
            return _inference.load(self.network, threads=threads)

    def inconsistency(self, images: Images) -> tuple[str, int]:
        with self._undamaged():
            return _inference.inconsistency(self.network, images)

    def load_features(self, *, threads: int) -> Callable[[Images], Features] | None:
        with self._undamaged():
            return _inference.load_features(self.network, threads=threads)

    def load_as_served(self) -> Any:
        """MLflow's PyFuncModel."""
        with self._undamaged(), parsing("MLflow model", self.network):
            return mlflow.pyfunc.load_model(str(self.folder))

    @contextmanager
    def _undamaged(self) -> Iterator[None]:
        try:
            yield
        except DataError as error:
            reason = str(error).replace(f"{self.folder}/", "").removesuffix(f"; {REBUILD_HINT}")
            raise IntegrityError(f"{self.uri}: {reason}; {MEND}") from None


@contextmanager
def fetched(uri: str, sha256: str) -> Iterator[ModelFiles]:
    """A copy of a model's files; IntegrityError if gone, changed, or of no image classifier."""
    with scratch() as temporary:
        folder = download(uri, temporary)
        if (actual := files_sha256(folder)) != sha256:
            raise IntegrityError(
                f"{uri}: its files are not those that were logged (SHA-256 of all {actual[:12]}, "
                f"recorded {sha256[:12] or 'none'}); put those back, or delete the version"
            )
        yield _read_description(uri, folder)


def _read_description(uri: str, folder: Path) -> ModelFiles:
    """What MLmodel says. MLflow would run code that it names: only its ONNX loader is allowed."""
    try:
        if (folder / "MLmodel").stat().st_size > 100_000:  # ours have 2,000 bytes
            raise ValueError("over 100,000 bytes")
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
        if min(shape) < 1 or prod(shape) > MAX_VALUES:
            raise ValueError(f"images {(*shape,)}; at most {MAX_VALUES:,} values are allowed")
        names = [*map(str, (description.metadata or {}).get("class_names", []))]
    except Exception as error:  # damaged YAML fails anywhere in MLflow
        reason = one_line(error, width=200) or type(error).__name__
        raise IntegrityError(f"{uri}: MLmodel does not describe it ({reason}); {MEND}") from None
    text = f"{images.type} {images.shape} → {answers.type} {answers.shape}"
    return ModelFiles(uri, folder, text, (*shape,), classes, names)
