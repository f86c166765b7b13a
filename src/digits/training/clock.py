"""What a training costs, in whatever framework."""

import logging
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import psutil

from digits.toolkit.errors import DigitsError, ServiceError, UsageError
from digits.toolkit.outputs import Metrics


class Clock:
    """To be called with the metrics of each epoch, which it passes on; measures what a fit costs.

    It runs from when it is made, or started again. `on_epoch` counts from 0.
    """

    def __init__(self, on_epoch: Callable[[int, Metrics], None]) -> None:
        self.on_epoch = on_epoch
        self.history: list[Metrics] = []
        self.start()

    def start(self) -> None:
        self._start, self.ends = os.times(), [time.perf_counter()]
        psutil.cpu_percent()  # the next call tells the use since this one

    def __call__(self, metrics: Metrics) -> None:
        self.ends.append(time.perf_counter())
        self.history.append(metrics)
        self.on_epoch(len(self.history) - 1, metrics)

    def timing(self, *, images: int, threads: int) -> Metrics:
        """What the fit cost; `shared_cores` is the mean number of its cores used by others."""
        if not self.history:
            raise DigitsError("the model's fit never called on_epoch; once is enough")
        now, elapsed, cores = os.times(), time.perf_counter() - self.ends[0], os.cpu_count() or 1
        user, system = now.user - self._start.user, now.system - self._start.system
        other_cores = psutil.cpu_percent() / 100 * cores - (user + system) / elapsed
        return {
            "user_s": user,
            "system_s": system,
            "elapsed_s": elapsed,
            "epoch_s": float(np.median(np.diff(self.ends))),
            "samples_per_s": images * len(self.history) / elapsed,
            "shared_cores": max(0.0, other_cores - max(0, cores - threads)),
        }

    @property
    def marks(self) -> dict[str, float]:
        """When parts of the training ended, in s of `time.perf_counter`."""
        first, second, *_, last = (*self.ends, self.ends[-1])
        return {"build": first, "first epoch": second, "further epochs": last}


@contextmanager
def energy_used(country: str | None) -> Iterator[Metrics]:
    """Gives a dict that has `energy_kwh` and `co2e_kg` of this process after the block.

    CO₂ equivalents are those of the electricity of a country (ISO 3166, three letters), as
    codecarbon knows it. Nothing is measured for no country. UsageError for an unknown one.
    """
    used: Metrics = {}
    if not country:
        yield used
        return
    try:
        from codecarbon import OfflineEmissionsTracker
        from codecarbon.input import DataSource
    except ModuleNotFoundError:
        line = "codecarbon is not installed, which tracking.energy needs: pip install '.[energy]'"
        raise ServiceError(line) from None
    known = DataSource().get_global_energy_mix_data()  # type: ignore[no-untyped-call]
    if country not in known:
        raise UsageError(f"params.yaml tracking.energy: codecarbon knows no country {country!r}")
    logging.getLogger("codecarbon").disabled = True
    # given here, as its environment variables and files could ask for a network
    offline: dict[str, Any] = {
        "output_methods": [],
        "output_handlers": [],
        "emissions_endpoint": "",
    }
    offline |= {"electricitymaps_api_token": "", "allow_multiple_runs": True}
    tracker = OfflineEmissionsTracker(
        country_iso_code=country, tracking_mode="process", log_level="critical", **offline
    )
    with tracker:
        yield used
    if found := vars(tracker).get("final_emissions_data"):  # it logs its errors, and goes on
        used |= {"energy_kwh": found.energy_consumed, "co2e_kg": found.emissions}
