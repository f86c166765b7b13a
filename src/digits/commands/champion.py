"""What the registry's commands do, with params.yaml and the tracking store at hand."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from digits import params
from digits.core import events, process
from digits.core.artifacts import TrainOutputs
from digits.evaluation.gate import Check, Decision
from digits.params import Params
from digits.registry import promotion, reproduction
from digits.registry import served as models
from digits.registry.evidence import judge
from digits.registry.history import Move
from digits.registry.promotion import Outcome
from digits.registry.reproduce import Reproduction
from digits.registry.trace import Origin
from digits.registry.versions import CHAMPION, Registry, Trained, trained
from digits.scoring.prediction import Answer, answers, read_pictures
from digits.tracking import restore, store

if TYPE_CHECKING:
    from digits.scoring.score import Scored

MAX_REASON = 1000


def promote_run(
    model: str | None,
    run: str | None,
    exp: str | None,
    *,
    reason: str,
    dry_run: bool,
    approval: Check | None,
) -> Outcome:
    """Promote the run, the experiment's, or the last training of the model.

    See `promotion.promote`; of an experiment, `model` says which training is meant.
    """
    with connected() as checked, _chosen(checked, model, run, exp) as (found, root):
        name = checked.registry.name
        gate = partial(_judge, approval, name=name, params=checked, root=root)
        if dry_run:
            return promotion.dry_run(found, name, judge=gate)
        outcome = promotion.promote(found, name, judge=gate, reason=reason[:MAX_REASON])
        if outcome.move:
            _announce(outcome.move, name)
        return outcome


def roll_back(to: int | None, *, reason: str) -> Move:
    """See `promotion.rollback`."""
    with connected() as checked:
        target = None if to is None else str(to)
        name = checked.registry.name
        move = promotion.rollback(name, to=target, reason=reason[:MAX_REASON])
        _announce(move, name)
        return move


def moves() -> list[Move]:
    """Every move of the champion's alias, oldest first."""
    with connected() as checked:
        return Registry(checked.registry.name).moves()


def traced(uri: str) -> Origin:
    """Where the version at this address comes from."""
    with connected():
        return models.source(uri)


def check(origin: Origin) -> None:
    """See `models.check`."""
    with connected():
        models.check(origin)


def predict(files: Sequence[Path], uri: str | None) -> tuple[str, list[Answer]]:
    """The name of the champion, or of the version at this address, and its answers."""
    with (
        connected() as checked,
        models.served(uri or champion_uri(checked), threads=checked.train.threads) as model,
    ):
        pictures = read_pictures(files, shape=model.shape, picture=model.picture)
        images = np.stack([read.image for read in pictures])
        return model.name, answers(files, pictures, model.predict(images))


def score(path: Path, output: Path, uri: str | None) -> "Scored":
    """Score an input of any length; see `scoring.score`."""
    from digits.scoring import score as scoring

    with (
        connected() as checked,
        models.served(uri or champion_uri(checked), threads=checked.train.threads) as model,
    ):
        scored = scoring.score(path, output, model, params=checked)
    if scored.drifted:
        drifted = ", ".join(scored.drifted)
        resource = {"prefect.resource.id": "digits.score", "digits.drifted": drifted}
        events.emit("digits.drift", resource, scored.as_dict())
    return scored


def reproduce(uri: str, *, tolerance: float) -> Reproduction:
    """Train a version again and compare; see `reproduction.run`."""
    with connected() as checked:
        return reproduction.run(uri, threads=checked.train.threads, tolerance=tolerance)


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
        origin = models.source(uri or champion_uri(checked))
        app = scoring_server.init(models.for_mlflow(origin, threads=checked.train.threads))
        address = f"http://127.0.0.1:{listening.getsockname()[1]}/invocations"
        announce(f"models:/{origin.model}/{origin.version} at {address}")
        server.serve(Guard(app), listening)


def _announce(move: Move, name: str) -> None:
    resource = {
        "prefect.resource.id": "digits.champion",
        "digits.model": name,
        "digits.version": str(move.after),
    }
    events.emit(f"digits.{move.action}", resource, asdict(move))


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


@contextmanager
def _chosen(
    checked: Params, model: str | None, run: str | None, exp: str | None
) -> Iterator[tuple[Trained, Path]]:
    """The training, and the folder with the outputs that the gate judges it by."""
    here = Path()
    if exp:
        from digits.registry import experiment

        with experiment.fetched(exp, model) as (named, root):
            yield _recorded(TrainOutputs(named, root), checked.train.threads), root
    elif run:
        yield trained(run), here
    else:
        yield _last_training(checked, model or ""), here


def _last_training(checked: Params, model: str) -> Trained:
    checked.recipe(model)
    return _recorded(TrainOutputs(model), checked.train.threads)


def _recorded(outputs: TrainOutputs, threads: int) -> Trained:
    """Its run in the present store, where it is logged again if unknown."""
    known = restore.known(outputs)
    if known is None:
        with process.quiet_tensorflow(threads):
            known = restore.restore(outputs)
    return Trained(*known)


def _judge(
    approval: Check | None,
    model: Trained,
    challenger: str,
    champion_uri: str | None,
    champion: str | None,
    *,
    name: str,
    params: Params,
    root: Path,
) -> Decision:
    decision = judge(model, challenger, champion_uri, champion, params=params, root=root)
    return replace(decision, checks=(*decision.checks, approval)) if approval else decision
