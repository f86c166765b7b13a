"""Where the time of a training's steps goes: seconds of one epoch by operation, on one thread."""

import json
import re
import sys
from collections import defaultdict
from collections.abc import Iterator
from typing import Any

from benchmarks import machine
from benchmarks.markdown import table
from benchmarks.trainings import IMAGES, PASSES
from benchmarks.workspace import Workspace

MODELS = ("mlp", "cnn", "compact", "sprint")
VALIDATED = 6_000  # images after each epoch
PRODUCTS = "products"
# What the profile calls an operation: `path/of/its/layer:Type`. The first that fits counts.
KINDS = {
    "optimizer": r"/(rm_sprop|adadelta|adam)(_\d+)?/",
    "dropout": r"dropout",
    PRODUCTS: r":.*(Conv2D|MatMul)",
    "batch normalization": r":.*BatchNorm",
    "pooling, ReLU": r":.*(Pool|Relu)",
    "reading, augmentation": r"^PrefetchProduce$",
}
PROGRAM = """
import json, sys
from collections import Counter
from pathlib import Path
from imageproof.system import _process
_process.set_environment()
with _process.quiet_tensorflow(1):
    from tensorflow.profiler.experimental import start, stop
    from tensorflow.tsl.profiler.protobuf.xplane_pb2 import XSpace
from benchmarks import machine
from imageproof.artifacts import WORKSPACE
from digits.models import model_file
from digits.params import load
from digits.training import keras_model
from imageproof.keras.costs import TrainingCost

model, folder = sys.argv[1:]
params, processor_s = load(), []

def on_epoch(epoch, metrics):
    processor_s.append(cost.spent["user_s"] + cost.spent["system_s"])
    if epoch == 1:
        start(folder)
    else:
        stop()

cost = TrainingCost(on_epoch)
data = [WORKSPACE.read_split(name).data for name in ("train", "validation")]
of_run = {"classes": params.data.classes, "seed": params.seed}
keras_model.Training(model_file(model), params.recipe(model), *data, **of_run).run(cost)
seconds = Counter()
for plane in XSpace.FromString(next(Path(folder).rglob("*.xplane.pb")).read_bytes()).planes:
    for line in plane.lines:
        for event in line.events:
            seconds[plane.event_metadata[event.metadata_id].name] += event.duration_ps / 1e12
print(json.dumps({
    "epoch_s": processor_s[1] - processor_s[0],
    "rate": machine.matrix_product_rate(),
    "operations": seconds,
}))
"""


def measure_step(workspace: Workspace) -> Iterator[dict[str, Any]]:
    """Profile the second epoch of each model with TensorFlow's profiler."""
    workspace.add_example("sprint")
    workspace.split()
    workspace.set_params(**{f"train__{model}__fit__epochs": 2 for model in MODELS})
    rows = {}
    for model in MODELS:
        folder = str(workspace.root / ".state/profile" / model)
        printed = workspace.run(sys.executable, "-c", PROGRAM, model, folder).printed
        measured = json.loads(printed.splitlines()[-1])
        seconds = by_kind(measured["operations"])
        workspace.train(model, seed=0)
        forward = machine.forward_operations(workspace.outputs(model).keras)
        rate = forward * (PASSES * IMAGES + VALIDATED) / seconds[PRODUCTS] / measured["rate"]
        rows[model] = {"epoch_s": measured["epoch_s"], "seconds": seconds, "products_rate": rate}
    yield {"models": rows}


def by_kind(operations: dict[str, float]) -> dict[str, float]:
    """The seconds of all operations that belong to a kind, by the kind."""
    seconds: dict[str, float] = defaultdict(float)
    for name, spent in operations.items():
        if kind := next((kind for kind in KINDS if re.search(KINDS[kind], name)), None):
            seconds[kind] += spent
    return dict(seconds)


def step_section(part: dict[str, Any]) -> str:
    head = ["processor s per epoch", *part["models"]]
    rows = part["models"].values()
    body = [["all", *(f"{row['epoch_s']:.2f}" for row in rows)]]
    body += [[kind, *(f"{row['seconds'].get(kind, 0):.2f}" for row in rows)] for kind in KINDS]
    rest = [row["epoch_s"] - sum(row["seconds"].values()) for row in rows]
    body += [["rest: executor, metrics, loss", *(f"{seconds:.2f}" for seconds in rest)]]
    body += [["rate of the products", *(f"{row['products_rate']:.0%}" for row in rows)]]
    return f"""## Where the time of a training's steps goes

TensorFlow's profile of the second epoch, with its validation, on one thread. *Rate of the
products*: the float operations of convolutions and dense layers (three forward passes per training
image) in their own seconds, as a share of a large matrix product's rate on one core. The gradient
of the first layer's input counts, and is not computed: so more than 100 % is possible.

{table(head, body)}"""
