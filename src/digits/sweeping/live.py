"""A trial while it trains, as the sweep watches it through its MLflow run."""

from collections.abc import Callable
from typing import TYPE_CHECKING

from digits.tracking import flow_runs, runs, sweeps

if TYPE_CHECKING:
    from digits.training import EpochMetrics


class Stopped(Exception):  # noqa: N818 - no error
    """The trial was asked to stop."""


class Live:
    """The learning curve of a trial as it grows, and whether the trial was asked to stop."""

    def __init__(self, name: str, run_id: str, epochs: int, is_shared: Callable[[], bool]) -> None:
        self.run_id = run_id
        self.value = 0.0
        self.stopped = False
        self._name = name
        self._epochs = epochs
        self._is_shared = is_shared
        self._tagged = False

    def on_batches(self, _epochs_done: float) -> None:
        """Tag the run once another training runs beside it on the same cores."""
        if not self._tagged and self._is_shared():
            sweeps.set_tags({flow_runs.SHARED: "true"})
            self._tagged = True

    def on_epoch(self, epoch: int, metrics: "EpochMetrics") -> None:
        """Log one epoch.

        Raises:
            Stopped: it shall be the last.
        """
        runs.log_epoch(epoch, metrics)
        self.value = metrics[sweeps.OBJECTIVE]
        print(f"{self._name} epoch {epoch + 1}/{self._epochs}  val_accuracy {self.value:.4f}")
        if epoch + 1 < self._epochs and (reason := sweeps.asked_to_stop(self.run_id)):
            sweeps.set_tags({sweeps.PRUNED_TAG: reason})
            print(f"{self._name} stopped: {reason}")
            self.stopped = True
            raise Stopped(reason)
