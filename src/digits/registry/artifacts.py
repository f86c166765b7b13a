"""The files of a registered or logged model, verified by their recorded hash."""

import re
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import mlflow
from mlflow.exceptions import MlflowException
from mlflow.models import Model
from mlflow.protos.databricks_pb2 import TEMPORARILY_UNAVAILABLE
from mlflow.types import Schema

from digits.core import process
from digits.core.artifacts import Calibration, read_calibration
from digits.core.dataset import Images
from digits.core.errors import DataError, IntegrityError
from digits.core.files import ANEW, scratch
from digits.tracking import store
from digits.tracking.logged_model import files_sha256
from digits.training import inference
from digits.training.inference import Features, Network

if TYPE_CHECKING:
    from mlflow.pyfunc import PyFuncModel

ONNX, KERAS = "onnx", "tensorflow"  # MLflow's flavours; before ONNX a model answered with Keras
NETWORKS = {ONNX: Path("model.onnx"), KERAS: Path("data", "model.keras")}  # the file that answers
CALIBRATION = Path("extra_files", "calibration.npz")
MAX_DESCRIPTION = 100_000  # bytes of MLmodel; ours have 2,000
GONE = "delete the version, or put its artifacts back"
# MLflow tells what failed with several files as one text
_AWAY = re.compile(
    "Max retries exceeded|Connection (aborted|broken|refused|reset)|timed out"
    "|50[234] (Server Error|error responses)"
)


class ModelFiles(NamedTuple):
    """A copy of a model's files, and what its description says.

    `flavour` is a key of NETWORKS. `signature` is text
    (`uint8 (-1, 28, 28) → float32 (-1, 10)`), `shape` the height and width of the images,
    `classes` the number of classes.
    """

    uri: str
    folder: Path
    flavour: str
    signature: str
    shape: tuple[int, int]
    classes: int

    @property
    def network(self) -> Path:
        """The file that answers."""
        return self.folder / NETWORKS[self.flavour]

    @property
    def calibration(self) -> Calibration | None:
        """What the validation rows say of its confidence; None for versions of before ONNX.

        Raises:
            IntegrityError: the file is damaged.
        """
        path = self.folder / CALIBRATION
        try:
            return read_calibration(path) if path.exists() else None
        except DataError as error:
            raise self._damaged(error) from None

    def load(self, *, threads: int) -> Network:
        """The model, to answer with this number of threads.

        Raises:
            IntegrityError: the file is damaged, or the model contradicts its signature.
        """
        try:
            with self._runtime(threads):
                network = self._load(threads)
        except DataError as error:
            raise self._damaged(error) from None
        if (network.shape, network.classes) != (self.shape, self.classes):
            raise IntegrityError(
                f"{self.uri}: its network takes images {network.shape} and gives "
                f"{network.classes} classes, its signature says {self.signature}"
            )
        return network

    def load_features(self, *, threads: int) -> Callable[[Images], Features] | None:
        """A function from images to the last hidden layer; None for versions of before ONNX.

        Raises:
            IntegrityError: the file is damaged, or names no such layer.
        """
        if self.flavour != ONNX:
            return None
        try:
            return inference.load_features(self.network, threads=threads)
        except DataError as error:
            raise self._damaged(error) from None

    def load_as_served(self, *, threads: int) -> "PyFuncModel":
        """The model as MLflow serves it; one of before ONNX gets this number of threads."""
        from mlflow.pyfunc import load_model

        with self._runtime(threads):
            return load_model(str(self.folder))

    def _load(self, threads: int) -> Network:
        if self.flavour == ONNX:
            return inference.load(self.network, threads=threads)
        from digits.training import keras_inference

        return keras_inference.load_network(self.network)

    def _runtime(self, threads: int) -> AbstractContextManager[None]:
        return process.quiet_tensorflow(threads) if self.flavour == KERAS else nullcontext()

    def _damaged(self, error: DataError) -> IntegrityError:
        reason = str(error).replace(f"{self.folder}/", "").removesuffix(f"; {ANEW}")
        return IntegrityError(f"{self.uri}: {reason}; {GONE}")


@contextmanager
def fetched(uri: str, sha256: str) -> Iterator[ModelFiles]:
    """Copy the files of the model at `models:/…` for the time of the block, and verify them.

    `sha256` is the recorded hash. If it is empty (versions of before hashes were recorded), the
    files are not verified, and a warning says so.

    Raises:
        MlflowException, OSError: the server that has them does not answer.
        IntegrityError: the files are gone, have changed, or are not those of a model from images
            `uint8 (n, height, width)` to `float32 (n, classes)`.
    """
    with scratch() as temporary:
        try:
            folder = _downloaded(uri, temporary)
            actual = files_sha256(folder)
        except (MlflowException, OSError) as error:
            if store.is_away(error) or store.is_unreachable(error):
                raise
            raise _gone(uri, str(error).splitlines()[0][:200]) from None
        if not (folder / "MLmodel").is_file():
            raise _gone(uri, "no MLmodel")
        if not sha256:
            warning = "no hash recorded when it was logged; its files cannot be checked"
            print(f"warning: {uri}: {warning}", file=sys.stderr)
        elif actual != sha256:
            raise IntegrityError(
                f"{uri}: its files are not those that were logged (SHA-256 {actual[:12]}, recorded "
                f"{sha256[:12]}); put those back, or delete the version"
            )
        yield _read_description(uri, folder)


def _downloaded(uri: str, to: Path) -> Path:
    try:
        return Path(mlflow.artifacts.download_artifacts(uri, dst_path=str(to)))
    except MlflowException as error:
        if away := _AWAY.search(str(error)):
            reason = f"{uri} cannot be downloaded ({away[0]}); are the server and its storage up?"
            raise MlflowException(reason, TEMPORARILY_UNAVAILABLE) from error
        raise


def _gone(uri: str, reason: str) -> IntegrityError:
    return IntegrityError(f"{uri}: its artifacts are gone ({reason}); {GONE}")


def _read_description(uri: str, folder: Path) -> ModelFiles:
    flavour, description = _description(uri, folder)
    if not (folder / NETWORKS[flavour]).is_file():
        raise IntegrityError(f"{uri}: {NETWORKS[flavour]} is gone; {GONE}")
    signature = description.signature
    sides = (signature.inputs, signature.outputs) if signature else (None, None)
    input_shape, output_shape = map(_shape, sides)
    if len(input_shape) != 3 or len(output_shape) != 2:
        raise IntegrityError(
            f"{uri}: by its signature it takes {input_shape} and gives {output_shape}; "
            "a classifier of images takes (n, height, width) and gives (n, classes)"
        )
    text = " → ".join(map(_text, sides))
    return ModelFiles(uri, folder, flavour, text, input_shape[1:], output_shape[1])


def _description(uri: str, folder: Path) -> tuple[str, Model]:
    """The flavour of the model, a key of NETWORKS, and its MLmodel.

    MLflow would run code that an MLmodel names, so only MLflow's own loader is allowed.
    """
    path = folder / "MLmodel"
    try:
        if path.stat().st_size > MAX_DESCRIPTION:
            raise ValueError(f"over {MAX_DESCRIPTION:,} bytes")
        model = Model.load(folder)
        known = [name for name in NETWORKS if name in model.flavors]
        if not known:
            raise ValueError(f"no flavor {' or '.join(NETWORKS)}")
        flavour, served = known[0], model.flavors["python_function"]
        loader, data, code = served["loader_module"], served["data"], served.get("code")
        if (loader, data, code) != (f"mlflow.{flavour}", NETWORKS[flavour].parts[0], None):
            raise ValueError(f"loaded by {loader} from {data}, code {code}")
        return flavour, model
    except Exception as error:  # damaged YAML fails anywhere in MLflow
        reason = (str(error).splitlines() or [type(error).__name__])[0][:200]
        raise IntegrityError(f"{uri}: MLmodel does not describe it ({reason}); {GONE}") from None


def _shape(schema: Schema | None) -> tuple[int, ...]:
    """Shape of a model's only input or output; () if there are several, or it is no tensor."""
    specs = schema.inputs if schema else []
    return tuple(getattr(specs[0], "shape", ())) if len(specs) == 1 else ()


def _text(schema: Schema) -> str:
    """Type and shape; without names, which versions of before ONNX do not have."""
    [spec] = schema.inputs
    return f"{spec.type} {_shape(schema)}"
