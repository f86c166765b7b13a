"""The files of a registered or logged model, verified by their recorded hash."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import mlflow
from mlflow.exceptions import MlflowException
from mlflow.models import Model
from mlflow.types import Schema

from digits.core.errors import DataError, IntegrityError
from digits.core.files import scratch
from digits.tracking import store
from digits.tracking.runs import files_sha256

if TYPE_CHECKING:
    import keras

KERAS_FILE = Path("data", "model.keras")
MAX_DESCRIPTION = 100_000  # bytes of MLmodel; ours have 2,000
GONE = "delete the version, or put its artifacts back"


class ModelFiles(NamedTuple):
    """A copy of a model's files, and what the signature says.

    `signature` is text (`uint8 (-1, 28, 28) → float32 (-1, 10)`), `shape` the height and width
    of the images, `classes` the number of classes.
    """

    uri: str
    folder: Path
    signature: str
    shape: tuple[int, int]
    classes: int

    def load(self) -> "keras.Model":
        """The Keras model.

        Raises:
            IntegrityError: the file is damaged, or the model contradicts its signature.
        """
        from digits.training import keras_inference

        try:
            network = keras_inference.load(self.folder / KERAS_FILE)
        except DataError as error:
            reason = str(error).replace(f"{self.folder}/", "")
            raise IntegrityError(f"{self.uri}: {reason}; {GONE}") from None
        sides = [getattr(network, f"{side}_shape", None) for side in ("input", "output")]
        if sides != [(None, *self.shape), (None, self.classes)]:
            raise IntegrityError(
                f"{self.uri}: its network takes {sides[0]} and gives {sides[1]}, "
                f"its signature says {self.signature}"
            )
        return network


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
            folder = Path(mlflow.artifacts.download_artifacts(uri, dst_path=str(temporary)))
            actual = files_sha256(folder)
        except (MlflowException, OSError) as error:
            if store.is_unreachable(error):
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
        yield _read_signature(uri, folder)


def _gone(uri: str, reason: str) -> IntegrityError:
    return IntegrityError(f"{uri}: its artifacts are gone ({reason}); {GONE}")


def _read_signature(uri: str, folder: Path) -> ModelFiles:
    if not (folder / KERAS_FILE).is_file():
        raise IntegrityError(f"{uri}: {KERAS_FILE} is gone; {GONE}")
    signature = _description(uri, folder).signature
    sides = (signature.inputs, signature.outputs) if signature else (None, None)
    input_shape, output_shape = map(_shape, sides)
    if len(input_shape) != 3 or len(output_shape) != 2:
        raise IntegrityError(
            f"{uri}: by its signature it takes {input_shape} and gives {output_shape}; "
            "a classifier of images takes (n, height, width) and gives (n, classes)"
        )
    text = " → ".join(map(_text, sides))
    return ModelFiles(uri, folder, text, input_shape[1:], output_shape[1])


def _description(uri: str, folder: Path) -> Model:
    path = folder / "MLmodel"
    try:
        if path.stat().st_size > MAX_DESCRIPTION:
            raise ValueError(f"over {MAX_DESCRIPTION:,} bytes")
        model = Model.load(folder)
        if "tensorflow" not in model.flavors:
            raise ValueError("no flavor tensorflow")
        return model
    except Exception as error:  # damaged YAML fails anywhere in MLflow
        reason = (str(error).splitlines() or [type(error).__name__])[0][:200]
        raise IntegrityError(f"{uri}: MLmodel does not describe it ({reason}); {GONE}") from None


def _shape(schema: Schema | None) -> tuple[int, ...]:
    """Shape of a model's only input or output; () if there are several, or it is no tensor."""
    specs = schema.inputs if schema else []
    return tuple(getattr(specs[0], "shape", ())) if len(specs) == 1 else ()


def _text(schema: Schema) -> str:
    [spec] = schema.inputs
    return " ".join(filter(None, [spec.name, str(spec.type), str(_shape(schema))]))
