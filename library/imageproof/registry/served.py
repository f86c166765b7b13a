"""A registered version, loaded to predict."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from imageproof.base.dataset import Fit, Images, Probabilities
from imageproof.base.errors import AnswersError, IntegrityError
from imageproof.base.inference import Network
from imageproof.registry.model_files import ModelFiles, fetched
from imageproof.registry.trace import Origin, find_origin


@dataclass(frozen=True, eq=False)
class Served:
    """A version and a verified copy of its files."""

    origin: Origin
    files: ModelFiles
    network: Network
    fit: Fit  # how pictures of other sizes become its input
    threads: int

    def predict(self, images: Images) -> Probabilities:
        """Class probabilities float32 (n, classes) of raw images uint8 (n, *files.shape)."""
        try:
            return self.network.ask(images)
        except AnswersError as error:
            raise IntegrityError(f"{self.origin.uri}: {error}; delete the version") from None


@contextmanager
def served(uri: str, *, threads: int) -> Iterator[Served]:
    """The version at `models:/…`; IntegrityError if run or files are gone, changed or no model."""
    origin = find_origin(uri)
    fit = origin.param("image.fit", Fit, "digit")  # as it was where none is recorded
    with fetched(origin.uri, origin.model_sha256) as files:
        yield Served(origin, files, files.load(threads=threads), fit, threads)
