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

from imageproof.base._dataset import Images, Metrics
from imageproof.base._naming import project_name
from imageproof.base.errors import ServiceError
from imageproof.base.files import write_json
from imageproof.dvc._stage_inputs import check_inputs
from imageproof.dvc.params_yaml import PATH
from imageproof.mlflow import _logged_model, _runs, _store
from imageproof.outputs import RunRecord, TrainOutputs
from imageproof.pages._colours import colour_of
from imageproof.project import Project

RETRY_AFTER_S = 20.0  # epochs that did not arrive are sent again

T = TypeVar("T")


class BestEffort:
    """Does work that logs, until a server is away: then it warns once, and skips what follows."""

    def __init__(self) -> None:
        self.gave_up = False

    def __call__(self, work: Callable[[], T], *, patient: bool = True) -> T | None:
        """The result of the work; None if the server is away or was before."""
        if self.gave_up:
            return None
        try:
            with _store.service_errors(), _store.with_retries() if patient else nullcontext():
                return work()
        except ServiceError as error:
            if not _store.is_away(error):
                raise
            self.gave_up = True
            hint = f"later `{project_name()} restore` logs the rest"
            print(f"warning: {error}; {hint}", file=sys.stderr)
            return None


class LiveRun:
    """An active run. Without a server, its id is one that no server knows.

    `facts` are fields of its `RunRecord`.
    """

    def __init__(
        self,
        start: Callable[[], mlflow.ActiveRun],
        project: Project,
        facts: dict[str, Any],
    ) -> None:
        self.attempt = BestEffort()
        active = self.attempt(start, patient=False)
        self.run_id = str(active.info.run_id) if active else uuid4().hex
        experiment_id = str(active.info.experiment_id) if active else ""
        self._facts = {"run_id": self.run_id, "experiment_id": experiment_id, **facts}
        self._project = project
        self._unsent: list[Metric] = []
        self._retry_at = 0.0

    def log_inputs(self, datasets: Mapping[str, str]) -> None:
        """Log params.yaml and the splits, of which `datasets` has the md5."""
        text = PATH.read_text("utf-8")
        self._facts |= {"params_yaml": text, "datasets": dict(datasets)}
        self.attempt(lambda: mlflow.log_text(text, _runs.PARAMS_FILE))
        self.attempt(lambda: _runs.log_datasets(self.run_id, datasets))

    def log_epoch(self, epoch: int, metrics: Mapping[str, float]) -> None:
        """Log the metrics of one epoch, with the epoch as step; does not wait for a server."""
        self._unsent += _runs.metrics_at(epoch, metrics)
        if self.attempt.gave_up or time.monotonic() < self._retry_at:
            return
        try:
            with _store.retrying(0):
                _runs.send(self.run_id, self._unsent)
        except MlflowException as error:
            if not _store.is_away(error):
                raise
            self._retry_at = time.monotonic() + RETRY_AFTER_S

    def backfill(self, history: Sequence[Mapping[str, float]]) -> None:
        """Log those epochs of a training that goes on that its run lacks."""

        def work() -> None:
            logged = MlflowClient().get_metric_history(self.run_id, "loss")
            steps = {metric.step for metric in logged}
            for epoch, metrics in enumerate(history, 1):
                self._unsent += [] if epoch in steps else _runs.metrics_at(epoch, metrics)
            _runs.send(self.run_id, self._unsent)

        if history:
            self.attempt(work)

    def flush(self) -> None:
        """Send the epochs that have not arrived, and wait for the server."""
        self.attempt(lambda: _runs.send(self.run_id, self._unsent))

    def record(
        self,
        outputs: TrainOutputs,
        cost: Metrics,
        *,
        example: Images,
    ) -> None:
        """Log the model that a training wrote; write its metrics.json and, at last, run.json.

        `cost` has the `parameters`, `example` is one image. IntegrityError if what the stage
        depends on has changed: the run is then FAILED.
        """
        write_json(outputs.metrics, cost)
        parameters = {"parameters": cost["parameters"]}
        self.flush()
        log = partial(_logged_model.log, self.run_id, outputs, self._project, example=example)
        model_id = self.attempt(log)
        self.attempt(lambda: mlflow.log_params(parameters))
        check_inputs()
        self._facts["params"] |= parameters
        uri = _store.portable_uri()
        record = RunRecord(**self._facts, model_id=model_id or "", tracking_uri=uri)
        write_json(outputs.run, record.model_dump())

    def end(self, status: str) -> None:
        """It is FINISHED only if the server has all of it."""
        if status == "FINISHED":
            self.attempt(lambda: mlflow.end_run(status))
            status = "FAILED"  # if it still runs
        _runs.end(status)


@contextmanager
def training_run(
    name: str,
    project: Project,
    *,
    params: Mapping[str, Any],
    tags: Mapping[str, str],
    resume: str = "",
) -> Iterator[LiveRun]:
    """The run of a training; ends FINISHED, FAILED on an error or an outage, KILLED on a signal.

    The run with the id `resume` goes on, if it is still there. ServiceError if the tracking store
    cannot be used; one that is away raises nothing.
    """
    start = partial(
        _runs.start,
        name,
        experiment=project.name,
        tags={**tags, "colour": colour_of(name, project.models)},
        view=True,
        resume=resume,
        description=f"Training of `{tags.get('model', name)}` by `{tags.get('dvc_stage')}`.",
    )
    with _store.service_errors():
        live = LiveRun(start, project, {"name": name, "params": dict(params), "tags": dict(tags)})
        with _runs.ending(live.end):
            live.attempt(lambda: mlflow.set_tag(_runs.tag(_runs.TRAINING), live.run_id))
            live.attempt(lambda: mlflow.log_params(dict(params)))
            yield live
            live.flush()  # in this block, so that a signal ends the waiting
