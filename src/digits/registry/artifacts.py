"""A registered or logged model as files, which are those that were logged."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import mlflow
from mlflow.exceptions import MlflowException
from mlflow.models import Model
from mlflow.types import Schema

from digits.core.errors import DataError, IntegrityError
from digits.tracking import store
from digits.tracking.runs import files_sha256

if TYPE_CHECKING:
    import keras

KERAS_FILE = Path("data", "model.keras")
FLAVOR = "tensorflow"
MAX_DESCRIPTION = 100_000  # bytes of MLmodel, which has 2,000
GONE = "delete the version, or put its artifacts back"


class ModelFiles(NamedTuple):
    """A copy of a model's files, what it takes and gives as text
    (`uint8 (-1, 28, 28) → float32 (-1, 10)`), and the image size (height, width) it takes.
    """

    uri: str
    folder: Path
    signature: str
    shape: tuple[int, int]
    classes: int

    @property
    def size_mb(self) -> float:
        """Size of the Keras file in 10⁶ bytes."""
        return (self.folder / KERAS_FILE).stat().st_size / 1e6

    def load(self) -> "keras.Model":
        """The Keras model.

        Raises:
            IntegrityError: it cannot be read, or does not take and give what its signature says.
        """
        from digits.training import inference

        try:
            network = inference.load(self.folder / KERAS_FILE)
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
    """A copy of the files of the model at `models:/…`, for the time of the block.

    `sha256` was recorded when it was logged; empty where that was not yet done, which is said.

    Raises:
        MlflowException, OSError: the server that has them does not answer.
        IntegrityError: its artifacts are gone, are not those that were logged, or are not those of
            a model from images `uint8 (n, height, width)` to `float32 (n, classes)`.
    """
    with store.scratch() as temporary:
        try:
            folder = Path(mlflow.artifacts.download_artifacts(uri, dst_path=str(temporary)))
            found = files_sha256(folder)
        except (MlflowException, OSError) as error:
            if store.is_away(error):
                raise
            raise _gone(uri, str(error).splitlines()[0][:200]) from None
        if not (folder / "MLmodel").is_file():
            raise _gone(uri, "no MLmodel")
        if not sha256:
            _warn(uri)
        elif found != sha256:
            raise IntegrityError(
                f"{uri}: its files are not those that were logged (SHA-256 {found[:12]}, recorded "
                f"{sha256[:12]}); put those back, or delete the version"
            )
        yield _described(uri, folder)


def _gone(uri: str, reason: str) -> IntegrityError:
    return IntegrityError(f"{uri}: its artifacts are gone ({reason}); {GONE}")


@cache
def _warn(uri: str) -> None:
    print(
        f"warning: {uri}: no hash recorded when it was logged; its files cannot be checked",
        file=sys.stderr,
    )


def _described(uri: str, folder: Path) -> ModelFiles:
    if not (folder / KERAS_FILE).is_file():
        raise IntegrityError(f"{uri}: {KERAS_FILE} is gone; {GONE}")
    signature = _description(uri, folder).signature
    sides = (signature.inputs, signature.outputs) if signature else (None, None)
    taken, given = map(_shape, sides)
    if len(taken) != 3 or len(given) != 2:
        raise IntegrityError(
            f"{uri}: by its signature it takes {taken} and gives {given}; "
            "a classifier of images takes (n, height, width) and gives (n, classes)"
        )
    text = " → ".join(map(_text, sides))
    return ModelFiles(uri, folder, text, taken[1:], given[1])


def _description(uri: str, folder: Path) -> Model:
    path = folder / "MLmodel"
    try:
        if path.stat().st_size > MAX_DESCRIPTION:
            raise ValueError(f"over {MAX_DESCRIPTION:,} bytes")
        model = Model.load(folder)
        if FLAVOR not in model.flavors:
            raise ValueError(f"no flavor {FLAVOR}")
        return model
    except Exception as error:  # what is no description fails in whatever part of MLflow it reaches
        reason = (str(error).splitlines() or [type(error).__name__])[0][:200]
        raise IntegrityError(f"{uri}: MLmodel does not describe it ({reason}); {GONE}") from None


def _shape(schema: Schema | None) -> tuple[int, ...]:
    """Of the one array that a model takes or gives; () where it is anything else."""
    specs = schema.inputs if schema else []
    return tuple(getattr(specs[0], "shape", ())) if len(specs) == 1 else ()


def _text(schema: Schema) -> str:
    [spec] = schema.inputs
    return " ".join(filter(None, [spec.name, str(spec.type), str(_shape(schema))]))
