"""A sweep in MLflow: a parent run, and a child per trial by which it is watched and stopped."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any

import mlflow
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException

from digits.core.errors import ServiceError
from digits.core.process import this_process
from digits.tracking import runs, store

EXPERIMENT = "digits-sweeps"
TRIAL_TAG = "trial"
STOP_TAG = "stop"
PRUNED_TAG = "pruned"
OBJECTIVE = "val_accuracy"


@contextmanager
def parent(name: str, *, known: str | None, params: Mapping[str, Any]) -> Iterator[str]:
    """The id of the parent run: the `known` one taken up again, or a new one.

    It ends FINISHED, FAILED on an error, or KILLED on a signal.
    """
    experiment_id = store.connect(EXPERIMENT)
    with store.service_errors():
        runs.end_abandoned(experiment_id)
        again = known is not None and _exists(known)
        active = mlflow.start_run(
            run_id=known if again else None,
            run_name=None if again else name,
            experiment_id=experiment_id,
        )
        mlflow.set_tag(runs.PROCESS_TAG, this_process())
        if not again:
            mlflow.log_params(dict(params))
    status = "KILLED"
    try:
        yield str(active.info.run_id)
        status = "FINISHED"
    except Exception:
        status = "FAILED"
        raise
    finally:
        mlflow.end_run(status)


class Children:
    """The runs of a sweep's trials; a trial that ran twice counts as its last run."""

    def __init__(self, parent_id: str) -> None:
        self._client = MlflowClient()
        self._parent = parent_id
        self._experiment = self._client.get_run(parent_id).info.experiment_id

    def running(self) -> dict[str, str]:
        """The ids of those that run now, by trial."""
        found = self._client.search_runs(
            [self._experiment],
            f"tags.`mlflow.parentRunId` = '{self._parent}' and attributes.status = 'RUNNING'",
            order_by=["attributes.start_time ASC"],
        )
        return {
            run.data.tags[TRIAL_TAG]: run.info.run_id for run in found if TRIAL_TAG in run.data.tags
        }

    def curve(self, run_id: str) -> dict[int, float]:
        """The objective after each epoch so far."""
        points = self._client.get_metric_history(run_id, OBJECTIVE)
        return {point.step: point.value for point in points}

    def stop(self, run_id: str, reason: str) -> None:
        """Ask it to end after the epoch that it is in."""
        self._client.set_tag(run_id, STOP_TAG, reason)

    def stop_all(self, reason: str) -> None:
        """Ask all that run; if the server does not answer, they run to their ends."""
        with suppress(MlflowException):
            for run_id in self.running().values():
                self.stop(run_id, reason)


def asked_to_stop(run_id: str) -> str | None:
    """Why this run was asked to stop, or None."""
    try:
        tags = MlflowClient().get_run(run_id).data.tags
    except MlflowException:  # a training does not end because one question got no answer
        return None
    stop: str | None = tags.get(STOP_TAG)
    return stop


def set_tags(tags: Mapping[str, str]) -> None:
    """Tags of the active run."""
    mlflow.set_tags(dict(tags))


def log_results(metrics: Mapping[str, float], texts: Mapping[str, str]) -> None:
    """Metrics and text files of the active run, the sweep's parent."""
    mlflow.log_metrics(dict(metrics))
    for name, text in texts.items():
        mlflow.log_text(text, name)


def _exists(run_id: str) -> bool:
    try:
        return bool(MlflowClient().get_run(run_id).info.lifecycle_stage == "active")
    except MlflowException as error:
        if error.error_code != "RESOURCE_DOES_NOT_EXIST":
            raise ServiceError(f"MLflow at {mlflow.get_tracking_uri()}: {error}") from error
        return False
