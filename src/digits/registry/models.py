"""A version of the registered model, ready to answer."""

from dataclasses import dataclass

from digits import process
from digits.data import Predict
from digits.registry.artifacts import fetched
from digits.registry.trace import Origin, origin
from digits.registry.versions import find


@dataclass(frozen=True, eq=False, slots=True)
class Served:
    """A model as a function, where it comes from, and the image size (height, width) it takes."""

    predict: Predict
    origin: Origin
    shape: tuple[int, int]
    classes: int

    @property
    def name(self) -> str:
        """Its address with the version's number, whatever alias it was asked for by."""
        return f"models:/{self.origin.model}/{self.origin.version}"


def source(uri: str) -> Origin:
    """Where the version at `models:/…` comes from; see `trace.origin`."""
    return origin(find(uri))


def load(uri: str, *, threads: int) -> Served:
    """Load the version at `models:/…`.

    Raises:
        UsageError: there is no such version.
        IntegrityError: its run or its artifacts are gone.
    """
    made_from = source(uri)
    address = f"models:/{made_from.model}/{made_from.version}"
    with fetched(address) as files, process.quiet_tensorflow(threads):
        from digits import inference, saved_model

        network = saved_model.load(files.keras)
    (_, height, width), (_, classes) = network.input_shape, network.output_shape
    return Served(inference.predictor(network), made_from, (height, width), classes)
