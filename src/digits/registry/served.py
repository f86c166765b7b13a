"""A version of the registered model, ready to answer."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, get_args

from mlflow.artifacts import load_text
from mlflow.exceptions import MlflowException

from digits.core import process
from digits.core.dataset import Images, Picture, Predict, Probabilities
from digits.core.errors import IntegrityError
from digits.core.files import text_sha256
from digits.evaluation.scores import not_probabilities
from digits.registry.artifacts import ModelFiles, fetched
from digits.registry.trace import Origin, origin
from digits.registry.versions import find

if TYPE_CHECKING:
    from mlflow.pyfunc import PyFuncModel


@dataclass(frozen=True, eq=False)
class Served:
    """A version with a private copy of its files, which lasts as long as the block of `served`.

    `picture` is how the model wants pictures of another form brought to its own. TensorFlow,
    which takes seconds to import, is loaded by the first use of `predict`, so that errors in
    the images are found before.
    """

    origin: Origin
    files: ModelFiles
    picture: Picture
    threads: int

    @property
    def name(self) -> str:
        """Its address with the version number, also if it was asked for by an alias."""
        return f"models:/{self.origin.model}/{self.origin.version}"

    @property
    def shape(self) -> tuple[int, int]:
        """The image size (height, width) that it takes."""
        return self.files.shape

    @property
    def classes(self) -> int:
        """The number of classes."""
        return self.files.classes

    @cached_property
    def predict(self) -> Predict:
        """Class probabilities float32 (n, classes) of raw images uint8 (n, height, width).

        Once loaded, it works after the block too.

        Raises:
            IntegrityError: the model cannot be loaded, or its answers are not probabilities.
        """
        with process.quiet_tensorflow(self.threads):
            from digits.training import inference

            predict = inference.predictor(self.files.load())

        def checked(images: Images) -> Probabilities:
            probabilities = predict(images)
            if finding := not_probabilities(probabilities):
                raise IntegrityError(f"{self.name}: {finding}; delete the version")
            return probabilities

        return checked


def source(uri: str) -> Origin:
    """Where the version at `models:/…` comes from; see `trace.origin`."""
    return origin(find(uri))


@contextmanager
def served(uri: str, *, threads: int) -> Iterator[Served]:
    """The version at `models:/…`, ready to predict with this many threads.

    Its files are downloaded and hashed once; the model is loaded from the same copy.

    Raises:
        UsageError: there is no such version.
        IntegrityError: its run or its artifacts are gone, its files are not those that were logged,
            it does not classify images, or its run recorded an unknown treatment of pictures.
    """
    made_from = source(uri)
    with _files(made_from) as files:
        yield Served(made_from, files, _picture(uri, made_from), threads)


def for_mlflow(made_from: Origin, *, threads: int) -> "PyFuncModel":
    """The model as MLflow itself loads it, by the code that its description names.

    Raises:
        IntegrityError: its files are not those that were logged, or no hash tells.
    """
    from mlflow.pyfunc import load_model

    name = f"models:/{made_from.model}/{made_from.version}"
    if not made_from.model_sha256:
        raise IntegrityError(
            f"{name}: no hash recorded when it was logged; what is served must be known, "
            "promote a run that was trained anew"
        )
    with fetched(name, made_from.model_sha256) as files, process.quiet_tensorflow(threads):
        return load_model(str(files.folder))


def check(made_from: Origin) -> None:
    """Find what is no longer what was recorded of a version.

    Raises:
        IntegrityError: its files, or the gate's record, are gone or are others.
    """
    with _files(made_from):
        pass
    record, sha256 = (made_from.gate.get(f"gate_{name}", "") for name in ("record", "sha256"))
    if not sha256:
        return
    try:
        found = text_sha256(load_text(record))
    except (MlflowException, OSError) as error:
        raise IntegrityError(f"{record}: is gone ({str(error).splitlines()[0]})") from None
    if found != sha256:
        raise IntegrityError(
            f"{record}: is not what the gate wrote (SHA-256 {found[:12]}, recorded {sha256[:12]}); "
            "what the gate decided stands in the tags of the version"
        )


def _files(made_from: Origin) -> AbstractContextManager[ModelFiles]:
    return fetched(f"models:/{made_from.model}/{made_from.version}", made_from.model_sha256)


def _picture(uri: str, made_from: Origin) -> Picture:
    picture: Picture = made_from.params.get("picture", "digit")  # of runs before it was recorded
    if picture not in (allowed := get_args(Picture)):
        raise IntegrityError(
            f"{uri}: its run recorded picture {picture!r}; {' or '.join(allowed)} is allowed"
        )
    return picture
