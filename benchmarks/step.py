"""Where the time of a small network's training step goes: the MLP's, with parts left out."""

from collections import defaultdict
from collections.abc import Iterator
from statistics import median
from typing import Any

from benchmarks import machine
from benchmarks.markdown import table
from benchmarks.trainings import IMAGES, PASSES
from benchmarks.workspace import Workspace

MODEL, EPOCHS, ROUNDS = "mlp", 6, 3
NO_DROPOUT = {"build__dropout": [0.0, 0.0, 0.0]}
SGD = {"optimizer__name": "sgd"}  # w - rate · gradient: it keeps nothing between steps
WITHOUT: dict[str, dict[str, Any]] = {
    "nothing": {},
    "dropout": NO_DROPOUT,
    "RMSprop": SGD,
    "both": NO_DROPOUT | SGD,
}
LAYER = (128, 784, 512)  # the first layer's product: rows of a batch, pixels, units


def measure_step(workspace: Workspace) -> Iterator[dict[str, Any]]:
    """Seconds per epoch with parts of the recipe left out, in turns; the rates of two products."""
    workspace.split()
    usual = {"build__dropout": [0.4, 0.3, 0.2], "optimizer__name": "rmsprop"}
    seconds = defaultdict(list)
    for seed in range(ROUNDS):
        for name, changes in WITHOUT.items():
            asked = {"fit__epochs": EPOCHS} | usual | changes
            workspace.set_params(**{f"train__{MODEL}__{key}": asked[key] for key in asked})
            seconds[name].append(workspace.train(MODEL, seed=seed).epoch_s)
    forward = machine.forward_operations(workspace.outputs(MODEL).keras)
    yield {
        "operations": IMAGES * PASSES * forward,
        "epoch_s": {name: median(each) for name, each in seconds.items()},
        "large_per_s": machine.matrix_product_rate(),
        "layer_per_s": machine.matrix_product_rate(*LAYER),
    }


def step_section(part: dict[str, Any]) -> str:
    large, layer, operations = (part[key] for key in ("large_per_s", "layer_per_s", "operations"))
    body = [
        [name, f"{seconds:.2f}", f"{operations / seconds / large:.0%}"]
        for name, seconds in part["epoch_s"].items()
    ]
    return f"""## Where the time of the MLP's steps goes

The float operations of an epoch as a share of the {large / 1e9:.0f} GFLOP/s of a large matrix
product. What is left without dropout and RMSprop (with plain SGD) are products of 128 rows: that of
the first layer alone runs at {layer / large:.0%} of the rate of the large one. The gradient of the
first layer's input counts, and is not computed.

{table(["without", "s per epoch", "of the large product's rate"], body)}"""
