"""What the registry's commands do, with params.yaml and the tracking store at hand."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from digits import params
from digits.core import events
from digits.params import Params
from digits.registry.served import load_for_mlflow, served
from digits.registry.trace import find_origin
from digits.registry.versions import CHAMPION
from digits.scoring.prediction import Answer, answers, read_pictures
from digits.tracking import store

if TYPE_CHECKING:
    from digits.scoring.score import Scored


def predict(files: Sequence[Path], uri: str | None) -> tuple[str, list[Answer]]:
    """What the champion, or the version at this address, says of pictures."""
    with (
        connected() as checked,
        served(uri or champion_uri(checked), threads=checked.train.threads) as model,
    ):
        pictures = read_pictures(files, shape=model.shape, picture=model.picture)
        images = np.stack([read.image for read in pictures])
        return model.name, answers(files, pictures, model.predict(images))


def score(path: Path, output: Path, uri: str | None) -> "Scored":
    """Score an input of any length; see `scoring.score`."""
    from digits.scoring import score as scoring

    with (
        connected() as checked,
        served(uri or champion_uri(checked), threads=checked.train.threads) as model,
    ):
        scored = scoring.score(path, output, model, params=checked)
    if scored.drifted:
        drifted = ", ".join(scored.drifted)
        resource = {"prefect.resource.id": "digits.score", "digits.drifted": drifted}
        events.emit("digits.drift", resource, scored.as_dict())
    return scored


def demo(port: int, *, announce: Callable[[str], None]) -> None:
    """Serve the page on which one draws; `announce` gets its address when it can be opened."""
    from digits.scoring import demo as server
    from digits.scoring.players import players

    with connected() as checked, closing(server.listen(port)) as listening:
        shown = players(checked.registry.name, threads=checked.train.threads)
        announce(f"http://127.0.0.1:{listening.getsockname()[1]}")
        server.serve(server.build(shown), listening)


def serve(uri: str | None, port: int, *, announce: Callable[[str], None]) -> None:
    """Serve a version as `mlflow models serve` does; `announce` is told which, and where."""
    from mlflow.pyfunc import scoring_server

    from digits.core.guard import Guard
    from digits.scoring import demo as server

    with connected() as checked, closing(server.listen(port)) as listening:
        origin = find_origin(uri or champion_uri(checked))
        app = scoring_server.init(load_for_mlflow(origin, threads=checked.train.threads))
        address = f"http://127.0.0.1:{listening.getsockname()[1]}/invocations"
        announce(f"{origin.uri} at {address}")
        server.serve(Guard(app), listening)


def champion_uri(checked: Params) -> str:
    """The champion's address."""
    return f"models:/{checked.registry.name}@{CHAMPION}"


@contextmanager
def connected() -> Iterator[Params]:
    """The params, with MLflow pointed at the tracking store and its errors as lines."""
    checked = params.load()
    store.connect()
    with store.service_errors():
        yield checked
