"""What an epoch costs with 10, 25, 50 and 100 % of the data."""

from statistics import median
from typing import Any

import numpy as np

from benchmarks.workspace import Workspace

PERCENT = (10, 25, 50, 100)
MODELS = ("mlp", "compact")
EPOCHS = 3


def measure(workspace: Workspace, *, repeats: int) -> dict[str, Any]:
    """Seconds per epoch for each share of the data, and the exponent with which they grow.

    The median over the epochs, because the first one also traces the graph, which is no
    shorter with less data; and the median of that over the repeats.
    """
    workspace.set_params(**{f"train__{model}__fit__epochs": EPOCHS for model in MODELS})
    seconds: dict[str, list[float]] = {model: [] for model in MODELS}
    for percent in PERCENT:
        workspace.set_params(data__percent=percent)
        workspace.split()
        for model in MODELS:
            epochs = [workspace.train(model, seed=seed).epoch_s for seed in range(repeats)]
            seconds[model].append(median(epochs))
    return {
        model: {
            "epoch_s": dict(zip(map(str, PERCENT), values, strict=True)),
            "exponent": float(np.polyfit(np.log(PERCENT), np.log(values), 1)[0]),
        }
        for model, values in seconds.items()
    }
