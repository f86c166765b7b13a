"""The run of a training: its curves appear while it trains, and an outage does not end it."""

import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from functools import partial
from typing import Any, TypeVar
from uuid import uuid4

import mlflow
from mlflow import MlflowClient
from mlflow.entities import Metric
from mlflow.exceptions import MlflowException

from imageproof.base.errors import ServiceError
from imageproof.base.naming import project_name
from imageproof.mlflow import runs, store
from imageproof.pages.colours import colour_of
from imageproof.project import Project

AGAIN_S = 20.0  # after which epochs that did not arrive are sent again

T = TypeVar("T")


class Attempt:
    """Does work that logs, until a server is away: then it warns once, and skips what follows."""

    def __init__(self) -> None:
        self.gave_up = False

    def __call__(self, work: Callable[[], T], *, patient: bool = True) -> T | None:
        """The result of the work; None if the server is away or was before."""
        if self.gave_up:
            return None
        try:
            with store.service_errors(), store.patient() if patient else nullcontext():
                return work()
        except ServiceError as error:
            if not store.is_away(error):
                raise
            self.gave_up = True
            print(
                f"warning: {error}; later `{project_name()} restore` logs the rest", file=sys.stderr
            )
            return None


class LiveRun:
    """An active run. Without a server, its id is one that no server knows."""

    def __init__(self, start: Callable[[], mlflow.ActiveRun]) -> None:
        self.attempt = Attempt()
        active = self.attempt(start, patient=False)
        self.run_id = str(active.info.run_id) if active else uuid4().hex
        self.experiment_id = str(active.info.experiment_id) if active else ""
        self._unsent: list[Metric] = []
        self._again_at = 0.0

    def log_epoch(self, epoch: int, metrics: Mapping[str, float]) -> None:
        """Log the metrics of one epoch, with the epoch as step; does not wait for a server."""
        self._unsent += runs.metrics_at(epoch, metrics)
        if self.attempt.gave_up or time.monotonic() < self._again_at:
            return
        try:
            with store.retrying(0):
                runs.send(self.run_id, self._unsent)
        except MlflowException as error:
            if not store.is_away(error):
                raise
            self._again_at = time.monotonic() + AGAIN_S

    def log_missing(self, history: Sequence[Mapping[str, float]]) -> None:
        """Log those epochs of a training that goes on that its run lacks."""

        def work() -> None:
            known = MlflowClient().get_metric_history(self.run_id, "loss")
            steps = {metric.step for metric in known}
            for epoch, metrics in enumerate(history):
                self._unsent += [] if epoch in steps else runs.metrics_at(epoch, metrics)
            runs.send(self.run_id, self._unsent)

        if history:
            self.attempt(work)

    def log_rest(self) -> None:
        self.attempt(lambda: runs.send(self.run_id, self._unsent))

    def end(self, status: str) -> None:
        """It is FINISHED only if the server has all of it."""
        if status == "FINISHED":
            self.attempt(lambda: mlflow.end_run(status))
            status = "FAILED"  # if it still runs
        runs.end(status)


@contextmanager
def training_run(
    name: str,
    project: Project,
    *,
    what: str,
    params: Mapping[str, Any],
    tags: Mapping[str, str],
    resume: str = "",
) -> Iterator[LiveRun]:
    """The run of a training; ends FINISHED, FAILED on an error or an outage, KILLED on a signal.

    The run with the id `resume` goes on, if it is still there. ServiceError if the tracking store
    cannot be used; one that is away raises nothing.
    """
    tags = {**tags, "colour": colour_of(name, project.models)}
    with store.service_errors():
        start = partial(runs.start, name, what=what, tags=tags, experiment=project.name, view=True)
        live = LiveRun(partial(start, system_metrics=project.system_metrics, resume=resume))
        with runs.ending(live.end):
            live.attempt(lambda: mlflow.set_tag(runs.tag(runs.TRAINING), live.run_id))
            live.attempt(lambda: mlflow.log_params(dict(params)))
            yield live
            live.log_rest()  # in this block, so that a signal ends the waiting
