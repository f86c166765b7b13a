"""A version of the registered model, ready to answer."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from digits import process
from digits.data import Images
from digits.registry.artifacts import fetched
from digits.registry.trace import Origin, origin
from digits.registry.versions import find


@dataclass(frozen=True, eq=False, slots=True)
class Served:
    """A model in memory, where it comes from, and the image size (height, width) it takes."""

    network: Any
    origin: Origin
    shape: tuple[int, int]
    classes: int

    @property
    def name(self) -> str:
        """Its address with the version's number, whatever alias it was asked for by."""
        return f"models:/{self.origin.model}/{self.origin.version}"

    def predict(self, images: Images) -> np.ndarray:
        """Class probabilities float32 (n, classes) of raw images uint8 (n, height, width)."""
        from digits import saved_model

        return saved_model.predict(self.network, images)

    def predict_batch(self, images: Images) -> np.ndarray:
        """The same for one batch of a stream; starts faster and leaves nothing behind."""
        return np.asarray(self.network.predict_on_batch(images))


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
        from digits import saved_model

        network = saved_model.load(files.keras)
    (_, height, width), (_, classes) = network.input_shape, network.output_shape
    return Served(network, made_from, (height, width), classes)
