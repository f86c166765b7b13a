"""A version of the registered model, ready to answer."""

from dataclasses import dataclass
from functools import cached_property
from typing import get_args

from digits import process
from digits.data import Picture, Predict
from digits.errors import IntegrityError
from digits.registry.artifacts import fetched, shapes
from digits.registry.trace import Origin, origin
from digits.registry.versions import find


@dataclass(frozen=True, eq=False)
class Served:
    """A model, where it comes from, the image size (height, width) it takes, and how pictures of
    another form are brought to it.

    TensorFlow, which takes seconds to start, is loaded with the model for the first answer: what
    is wrong with the images is told before.
    """

    origin: Origin
    shape: tuple[int, int]
    classes: int
    picture: Picture
    threads: int

    @property
    def name(self) -> str:
        """Its address with the version's number, whatever alias it was asked for by."""
        return f"models:/{self.origin.model}/{self.origin.version}"

    @cached_property
    def predict(self) -> Predict:
        """Class probabilities float32 (n, classes) of raw images uint8 (n, height, width).

        Raises:
            IntegrityError: the model's file is gone.
        """
        with fetched(self.name) as files, process.quiet_tensorflow(self.threads):
            from digits import inference, saved_model

            return inference.predictor(saved_model.load(files.keras))


def source(uri: str) -> Origin:
    """Where the version at `models:/…` comes from; see `trace.origin`."""
    return origin(find(uri))


def served(uri: str, *, threads: int) -> Served:
    """The version at `models:/…`, which answers with so many threads.

    Raises:
        UsageError: there is no such version.
        IntegrityError: its run or its artifacts are gone, or it classifies no images, or its run
            recorded no such treatment of pictures.
    """
    made_from = source(uri)
    shape, classes = shapes(f"models:/{made_from.model}/{made_from.version}")
    return Served(made_from, shape, classes, _picture(uri, made_from), threads)


def _picture(uri: str, made_from: Origin) -> Picture:
    picture: Picture = made_from.params.get("picture", "digit")  # of runs before it was recorded
    if picture not in (allowed := get_args(Picture)):
        raise IntegrityError(
            f"{uri}: its run recorded picture {picture!r}; {' or '.join(allowed)} is allowed"
        )
    return picture
