"""Training a model of any framework: its file in `models/` fits it, and writes it as ONNX."""

import os
import time
from collections.abc import Callable
from types import ModuleType
from typing import Any, NamedTuple

import numpy as np
import psutil

from digits.toolkit import inference
from digits.toolkit.dataset import Dataset, Probabilities
from digits.toolkit.errors import DigitsError
from digits.toolkit.files import replacing
from digits.toolkit.outputs import Metrics, TrainOutputs
from digits.training.temperature import fit_temperature, truth_probabilities

SUM_TOLERANCE = 1e-3


class Trained(NamedTuple):
    """What `fit` of the file gave, and what it cost; the fields are those of `fit.Trained`."""

    model: Any
    history: list[Metrics]
    timing: dict[str, float]
    marks: dict[str, float]
    parameters: int


def train(
    file: ModuleType,
    data: Dataset,
    validation: Dataset,
    *,
    recipe: Any,
    classes: int,
    seed: int,
    threads: int,
    on_epoch: Callable[[int, Metrics], None],
) -> Trained:
    """Let the file's `fit` do it; `on_epoch` counts from 0, that of the file gets only metrics."""
    history: list[Metrics] = []

    def ended(metrics: Metrics) -> None:
        on_epoch(len(history), metrics)
        history.append(metrics)

    psutil.cpu_percent()  # the next call tells the use since this one
    before, start = os.times(), time.perf_counter()
    settings = {"classes": classes, "seed": seed, "threads": threads, "on_epoch": ended}
    model, parameters = file.fit(recipe, data, validation, **settings)
    after, elapsed, cores = os.times(), time.perf_counter() - start, os.cpu_count() or 1
    if not history:
        raise DigitsError(f"{file.__name__}: fit never called on_epoch; once is enough")
    user, system = after.user - before.user, after.system - before.system
    other_cores = psutil.cpu_percent() / 100 * cores - (user + system) / elapsed
    timing = {
        "user_s": user,
        "system_s": system,
        "elapsed_s": elapsed,
        "epoch_s": elapsed / len(history),
        "samples_per_s": len(data) * len(history) / elapsed,
        "shared_cores": max(0.0, other_cores - max(0, cores - threads)),
    }
    return Trained(model, history, timing, {"fit": start + elapsed}, int(parameters))


def write(
    outputs: TrainOutputs, file: ModuleType, model: Any, validation: Dataset, *, threads: int
) -> float:
    """Write model.onnx, calibrated on the validation rows, and calibration.npz; its temperature."""

    def answers(temperature: float) -> Probabilities:
        network = file.network(model, validation.images.shape[1:], temperature=temperature)
        with replacing(outputs.model) as temporary:
            temporary.write_bytes(network.SerializeToString())
        found = inference.load(outputs.model, threads=threads).predict(validation.images)
        if not (np.abs(found.sum(axis=1) - 1) <= SUM_TOLERANCE).all():  # false for NaN
            raise DigitsError(f"{outputs.model}: its rows do not sum to 1, or are nan")
        return found

    temperature = fit_temperature(answers(1.0), validation.labels)
    truth = truth_probabilities(answers(temperature), validation.labels)
    outputs.write_calibration(temperature, truth)
    return temperature
