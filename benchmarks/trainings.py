"""Trainings: every model over seeds, and where the seconds go."""

import json
import sys
from collections import defaultdict
from collections.abc import Iterator, Sequence
from itertools import pairwise
from statistics import median, stdev
from typing import Any

from benchmarks import machine
from benchmarks.workspace import Training, Workspace

SEEDS = {"sprint": 5, "compact": 5, "best": 3, "mlp": 3, "cnn": 3}
PLAIN = ("mlp", "cnn")
# Accuracies of the seed experiment's MLP and CNN.
GOALS = (0.9768, 0.9909)
# A training step costs about three forward passes: one, and two for the gradients.
PASSES = 3
IMAGES = 48_000

MODELS = ("mlp", "compact")
STAGE = """
import json, sys, time
marks = {"start": time.perf_counter()}
from digits.toolkit import process
process.set_environment()
process.spare_the_collector()
from digits.stages import train
marks |= train.main(sys.argv[1])
print(json.dumps(marks))
"""


def measure_trainings(workspace: Workspace) -> Iterator[dict[str, Any]]:
    """Train each model over its seeds, and the seed's recipes as a plain Keras script.

    All models take turns, so that a slow quarter of an hour affects all alike. Yields the result
    so far after each round of seeds.
    """
    workspace.split()
    trainings: dict[str, list[tuple[Training, float]]] = defaultdict(list)
    rate = machine.matrix_product_rate()
    for seed in range(max(SEEDS.values())):
        for model in [model for model, count in SEEDS.items() if seed < count]:
            if model in PLAIN:
                trainings[f"{model} (plain)"].append(workspace.train_plainly(model, seed=seed))
            training = workspace.train(model, seed=seed)
            trainings[model].append((training, workspace.test_accuracy(model)))
            print(f"{model} seed {seed}: {training.fit_s:.1f} s", flush=True)
        rows = {name: _row(*zip(*pairs, strict=True)) for name, pairs in trainings.items()}
        for model in SEEDS:
            epochs = len(trainings[model][0][0].val_accuracy)
            forward = machine.forward_operations(workspace.outputs(model).keras)
            operations = IMAGES * PASSES * epochs * forward
            rows[model]["matrix_rate_share"] = operations / rows[model]["fit_s"] / rate
        yield {"matrix_product_per_s": rate, "models": rows}


def _row(trainings: Sequence[Training], accuracies: Sequence[float]) -> dict[str, Any]:
    return {
        "seeds": len(trainings),
        "fit_s": median(training.fit_s for training in trainings),
        "beyond_fit_s": median(training.wall_s - training.fit_s for training in trainings),
        "accuracy_mean": sum(accuracies) / len(accuracies),
        "accuracy_min": min(accuracies),
        "accuracy_sd": stdev(accuracies) if len(accuracies) > 1 else None,
        "seconds_to": {str(goal): seconds_to(goal, trainings) for goal in GOALS},
    }


def seconds_to(goal: float, trainings: Sequence[Training]) -> dict[str, Any]:
    """How many trainings validate at the goal or above after an epoch; median fit seconds to it."""
    seconds = []
    for training in trainings:
        epochs = training.val_accuracy
        first = next((n for n, value in enumerate(epochs, 1) if value >= goal), None)
        if first is not None:
            seconds.append(training.fit_s * first / len(epochs))
    return {"reached": len(seconds), "median_s": median(seconds) if seconds else None}


def measure_seconds(workspace: Workspace) -> Iterator[dict[str, Any]]:
    """Seconds of each part of one training, as the stage itself marks their ends."""
    workspace.split()
    parts = {}
    for model in MODELS:
        timed = workspace.run(sys.executable, "-c", STAGE, model)
        marks: dict[str, float] = json.loads(timed.printed.splitlines()[-1])
        seconds = {name: marks[name] - marks[before] for before, name in pairwise(marks)}
        parts[model] = {**seconds, "exit": timed.wall_s - sum(seconds.values())}
    yield parts
