"""What a training costs, in whatever framework."""

import os
import time
from collections.abc import Callable

import numpy as np
import psutil
from numpy.typing import NDArray

from imageproof.base._dataset import Metrics
from imageproof.base.errors import ImageproofError
from imageproof.keras.checkpoints import State

SECONDS = ("user_s", "system_s", "elapsed_s")
MIN_STEPS = 400  # of a training: fewer teach little; `adapt` sets batch size and epochs for more


class TrainingCost:
    """Measures what a fit costs; to be called with the metrics of each epoch, which it passes on.

    It measures from when it is made, or started again. `on_epoch` gets the number of the epoch,
    from 1, and its metrics.
    """

    def __init__(self, on_epoch: Callable[[int, Metrics], None]) -> None:
        self.on_epoch = on_epoch
        self.history: list[Metrics] = []
        self.epoch_s: list[float] = []
        self._earlier = np.zeros(len(SECONDS))
        self.start()

    def resume(self, reached: State) -> None:
        """Go on from what an interrupted training had reached."""
        self.history = [*reached.history]
        self.epoch_s = [*reached.epoch_s]
        self._earlier = np.array([reached.spent[name] for name in SECONDS])

    def start(self) -> None:
        """Measure from now."""
        self._start = _now()
        self._epoch_ended = time.perf_counter()
        psutil.cpu_percent()  # the next call tells the use since this one

    def __call__(self, metrics: Metrics) -> None:
        self.end_epoch(metrics)
        self.report()

    def end_epoch(self, metrics: Metrics) -> None:
        """Count an epoch that has these metrics."""
        now = time.perf_counter()
        self.epoch_s.append(now - self._epoch_ended)
        self._epoch_ended = now
        self.history.append(metrics)

    def report(self) -> None:
        """Pass the last epoch on."""
        self.on_epoch(len(self.history), self.history[-1])

    @property
    def spent(self) -> Metrics:
        """The seconds until now, `user_s`, `system_s` and `elapsed_s`."""
        seconds = self._earlier + _now() - self._start
        return dict(zip(SECONDS, seconds.tolist(), strict=True))

    def timing(self, *, threads: int) -> Metrics:
        """What the fit cost; `shared_cores` is the mean number of its cores used by others.

        Raises:
            ImageproofError: no epoch was counted.
        """
        if not self.history:
            raise ImageproofError("the model's fit never called on_epoch; once is enough")
        return {
            **self.spent,
            "epoch_s": float(np.median(self.epoch_s)),
            "shared_cores": self._shared_cores(threads),
        }

    def _shared_cores(self, threads: int) -> float:
        user_s, system_s, elapsed_s = _now() - self._start
        training_cores = (user_s + system_s) / elapsed_s
        cores = os.cpu_count() or 1
        foreign_cores = psutil.cpu_percent() / 100 * cores - training_cores
        idle_cores = max(0, cores - threads)
        return max(0.0, float(foreign_cores - idle_cores))


def _now() -> NDArray[np.float64]:
    """SECONDS of this process, from some time on."""
    times = os.times()
    return np.array([times.user, times.system, time.perf_counter()])
