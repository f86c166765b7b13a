"""A sweep's MLflow runs: a parent run, and a child run per trial to watch and stop the trial."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from traceback import clear_frames
from typing import Any

from mlflow import MlflowClient
from mlflow.entities import Run
from mlflow.exceptions import MlflowException

from digits.params import project
from digits.tracking import runs

TRIAL_TAG = "trial"
STOP_TAG = "stop"  # we ask a trial to stop, and why
PRUNED_TAG = "pruned"  # it did
OBJECTIVE = "val_accuracy"


class TrialRuns:
    """The child runs of a sweep's parent run, by the name of their trial."""

    def __init__(self, parent_id: str, experiment_id: str) -> None:
        self.parent_id = parent_id
        self._experiment_id = experiment_id
        self._client = MlflowClient()

    def running(self) -> dict[str, str]:
        """The id of each run that is under way, by the name of its trial."""
        running = self._search("attributes.status = 'RUNNING'")
        tagged = [run for run in running if TRIAL_TAG in run.data.tags]
        return {run.data.tags[TRIAL_TAG]: run.info.run_id for run in tagged}

    def last(self, trial: str) -> Run:
        """The run of a trial that has ended.

        If a worker dies, Dask may run again what ended on it: such a run may be under way.
        """
        of_trial = f"tags.{TRIAL_TAG} = '{trial}' and attributes.status = 'FINISHED'"
        return self._search(of_trial)[-1]

    def learning_curve(self, run_id: str) -> dict[int, float]:
        """The validation accuracy after each epoch so far."""
        points = self._client.get_metric_history(run_id, OBJECTIVE)
        return {point.step: point.value for point in points}

    def stop(self, run_id: str, reason: str) -> None:
        """Ask a trial to end after the epoch that it is in."""
        self._client.set_tag(run_id, STOP_TAG, reason)

    def stop_all(self) -> None:
        """Ask all trials to stop; if the server does not answer, they run to their ends."""
        with suppress(MlflowException):
            for run_id in self.running().values():
                self.stop(run_id, "the sweep was interrupted")

    def _search(self, condition: str) -> list[Run]:
        of_sweep = f"tags.`mlflow.parentRunId` = '{self.parent_id}' and {condition}"
        return runs.find(of_sweep, self._experiment_id)


@contextmanager
def parent_run(name: str, *, known: str | None, params: Mapping[str, Any]) -> Iterator[TrialRuns]:
    """Resume the run `known`, or start one if there is none; yield its child runs.

    After an error or a signal the trials are asked to stop: on a cluster they outlive this process.

    Raises:
        ServiceError: the tracking store does not answer.
    """
    experiment = project().part("sweeps")
    what = "Search for better params, by the flow `sweep`; its child runs are its trials."
    with runs.active_run(name, what=what, experiment=experiment, params=params, tags={}) as run:
        trial_runs = TrialRuns(run.info.run_id, run.info.experiment_id)
        try:
            yield trial_runs
        except BaseException as error:
            clear_frames(error.__traceback__)  # as `runs.active_run`
            trial_runs.stop_all()
            raise


def obey_stop(run_id: str) -> str | None:
    """Why this run was asked to stop, or None. If it was, tag it as pruned."""
    client = MlflowClient()
    try:
        reason: str | None = client.get_run(run_id).data.tags.get(STOP_TAG)
    except MlflowException:  # a training does not end because one question got no answer
        return None
    if reason:
        client.set_tag(run_id, PRUNED_TAG, reason)
    return reason


def log_results(metrics: Mapping[str, float], text: str) -> None:
    """Log metrics and the text file best.txt to the active run, the sweep's parent."""
    runs.log_metrics(metrics)
    runs.log_text(text, "best.txt")
