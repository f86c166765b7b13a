"""A trial while it trains, as the sweep watches it through its MLflow run."""

from typing import TYPE_CHECKING

from digits.core.errors import printable
from digits.tracking import runs, sweeps

if TYPE_CHECKING:
    from digits.training.fit import EpochMetrics


class Stopped(Exception):  # noqa: N818 - no error
    """The trial was asked to stop."""


class Live:
    """The learning curve of a trial as it grows, and whether the trial was asked to stop."""

    def __init__(self, name: str, run_id: str, epochs: int) -> None:
        self.run_id = run_id
        self.value = 0.0
        self.stopped = False
        self._name = name
        self._epochs = epochs

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
            print(f"{self._name} stopped: {printable(reason)}")
            self.stopped = True
            raise Stopped(reason)
