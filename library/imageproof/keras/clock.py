"""What a training costs, in whatever framework."""

import os
import time
from collections.abc import Callable

import numpy as np
import psutil

from imageproof.base.errors import ImageproofError
from imageproof.outputs import Metrics


class Clock:
    """To be called with the metrics of each epoch, which it passes on; measures what a fit costs.

    It runs from when it is made, or started again. `on_epoch` counts from 0. Of a training that
    goes on, `history`, `spent` and `epoch_s` are what it had reached.
    """

    def __init__(self, on_epoch: Callable[[int, Metrics], None]) -> None:
        self.on_epoch = on_epoch
        self.history: list[Metrics] = []
        self.epoch_s: list[float] = []
        self._before = {"user_s": 0.0, "system_s": 0.0, "elapsed_s": 0.0}
        self.start()

    def go_on(self, history: list[Metrics], spent: Metrics, epoch_s: list[float]) -> None:
        self.history, self._before, self.epoch_s = [*history], spent, [*epoch_s]

    def start(self) -> None:
        self._start, self.ends = os.times(), [time.perf_counter()]
        psutil.cpu_percent()  # the next call tells the use since this one

    def __call__(self, metrics: Metrics) -> None:
        self.count(metrics)
        self.tell()

    def count(self, metrics: Metrics) -> None:
        """An epoch has ended."""
        self.ends.append(time.perf_counter())
        self.epoch_s.append(self.ends[-1] - self.ends[-2])
        self.history.append(metrics)

    def tell(self) -> None:
        """Call `on_epoch` with the last epoch."""
        self.on_epoch(len(self.history) - 1, self.history[-1])

    @property
    def spent(self) -> Metrics:
        """The seconds until now, `user_s`, `system_s` and `elapsed_s`."""
        now, elapsed = os.times(), time.perf_counter() - self.ends[0]
        times = now.user - self._start.user, now.system - self._start.system, elapsed
        return {k: s + t for (k, s), t in zip(self._before.items(), times, strict=True)}

    def timing(self, *, images: int, threads: int) -> Metrics:
        """What the fit cost; `shared_cores` is the mean number of its cores used by others."""
        if not self.history:
            raise ImageproofError("the model's fit never called on_epoch; once is enough")
        spent, cores = self.spent, os.cpu_count() or 1
        here = {name: spent[name] - before for name, before in self._before.items()}
        own_cores = (here["user_s"] + here["system_s"]) / here["elapsed_s"]
        other_cores = psutil.cpu_percent() / 100 * cores - own_cores
        return {
            **spent,
            "epoch_s": float(np.median(self.epoch_s)),
            "samples_per_s": images * len(self.history) / spent["elapsed_s"],
            "shared_cores": max(0.0, other_cores - max(0, cores - threads)),
        }

    @property
    def marks(self) -> dict[str, float]:
        """When parts of the training ended, in s of `time.perf_counter`."""
        first, second, *_, last = (*self.ends, self.ends[-1], self.ends[-1])
        return {"build": first, "first epoch": second, "further epochs": last}
