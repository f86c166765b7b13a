"""A registered or logged model as files: its Keras file, and what it takes as input."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

import mlflow
from mlflow.exceptions import MlflowException
from mlflow.models import Model, get_model_info
from mlflow.types import Schema

from digits.errors import IntegrityError

KERAS_FILE = Path("data", "model.keras")
GONE = "delete the version, or put its artifacts back"


class ModelFiles(NamedTuple):
    """A model's Keras file, its input as text (`uint8 (-1, 28, 28)`), and what it needs."""

    keras: Path
    signature: str
    requirements: list[str]

    @property
    def size_mb(self) -> float:
        """Size of the Keras file in 10⁶ bytes."""
        return self.keras.stat().st_size / 1e6


@contextmanager
def fetched(uri: str) -> Iterator[ModelFiles]:
    """The files of the model at `models:/…`, for the time of the block.

    Raises:
        IntegrityError: its artifacts are gone, or are not those of a Keras model.
    """
    with TemporaryDirectory() as temporary:
        try:
            folder = Path(mlflow.artifacts.download_artifacts(uri, dst_path=temporary))
            model = Model.load(folder)
        except (MlflowException, OSError) as error:
            raise _gone(uri, error) from None
        if not (folder / KERAS_FILE).is_file():
            raise IntegrityError(f"{uri}: {KERAS_FILE} is gone; {GONE}")
        needed = folder / "requirements.txt"
        lines = needed.read_text(encoding="utf-8").split() if needed.is_file() else []
        yield ModelFiles(folder / KERAS_FILE, _signature(model), lines)


def shapes(uri: str) -> tuple[tuple[int, int], int]:
    """The image size (height, width) that the model at `models:/…` takes, and how many classes.

    Raises:
        IntegrityError: its artifacts are gone, or its signature is not that of `uint8 (n, height,
            width)` to `float32 (n, classes)`.
    """
    try:
        signature = get_model_info(uri).signature  # reads no model
    except (MlflowException, OSError) as error:
        raise _gone(uri, error) from None
    sides = (signature.inputs, signature.outputs) if signature else (None, None)
    taken, given = map(_shape, sides)
    if len(taken) != 3 or len(given) != 2:
        raise IntegrityError(
            f"{uri}: by its signature it takes {taken} and gives {given}; "
            "a classifier of images takes (n, height, width) and gives (n, classes)"
        )
    return taken[1:], given[1]


def _shape(schema: Schema | None) -> tuple[int, ...]:
    """Of the one array that a model takes or gives; () where it is anything else."""
    specs = schema.inputs if schema else []
    return tuple(getattr(specs[0], "shape", ())) if len(specs) == 1 else ()


def _gone(uri: str, error: Exception) -> IntegrityError:
    reason = str(error).splitlines()[0][:200]
    return IntegrityError(f"{uri}: its artifacts are gone ({reason}); {GONE}")


def _signature(model: Model) -> str:
    if model.signature is None or model.signature.inputs is None:
        return "none"
    inputs = [
        " ".join(filter(None, [spec.name, str(spec.type), str(getattr(spec, "shape", ""))]))
        for spec in model.signature.inputs
    ]
    return ", ".join(inputs)
