"""Every model over seeds, and the seed's recipes against a plain Keras script, in turn."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from statistics import median, stdev
from typing import Any

from benchmarks import machine
from benchmarks.workspace import Training, Workspace

SEEDS = {"sprint": 5, "compact": 5, "best": 3, "mlp": 3, "cnn": 3}
PLAIN = ("mlp", "cnn")
# What the seed experiment reached with its MLP and its CNN.
GOALS = (0.9768, 0.9909)
# A training step costs about three forward passes: one, and two for the gradients.
PASSES = 3


def measure(
    workspace: Workspace, *, seeds: dict[str, int], images: int
) -> Iterator[dict[str, Any]]:
    """Train all in turn, so that a slow quarter of an hour falls on all of them alike.

    Gives the result so far after each round of seeds.
    """
    done: dict[str, list[tuple[Training, float]]] = defaultdict(list)
    rate = machine.matrix_product_rate()
    for seed in range(max(seeds.values())):
        for model in [model for model, count in seeds.items() if seed < count]:
            if model in PLAIN:
                done[f"{model} (plain)"].append(workspace.train_plainly(model))
            training = workspace.train(model, seed=seed)
            done[model].append((training, workspace.test_accuracy(model)))
            print(f"{model} seed {seed}: {training.fit_s:.1f} s", flush=True)
        rows = {name: _row(*zip(*pairs, strict=True)) for name, pairs in done.items()}
        for model in seeds:
            operations = _operations(workspace, model, epochs=len(done[model][0][0].val_accuracy))
            rows[model]["matrix_rate_share"] = images * operations / rows[model]["fit_s"] / rate
        yield {"matrix_product_per_s": rate, "models": rows}


def _operations(workspace: Workspace, model: str, *, epochs: int) -> int:
    path = workspace.root / f"artifacts/train/{model}/model.keras"
    return PASSES * epochs * machine.forward_operations(path)


def _row(trainings: Sequence[Training], accuracies: Sequence[float]) -> dict[str, Any]:
    return {
        "seeds": len(trainings),
        "fit_s": median(training.fit_s for training in trainings),
        "beyond_fit_s": median(training.wall_s - training.fit_s for training in trainings),
        "accuracy_mean": sum(accuracies) / len(accuracies),
        "accuracy_min": min(accuracies),
        "accuracy_sd": stdev(accuracies) if len(accuracies) > 1 else None,
        "seconds_to": {str(goal): _seconds_to(goal, trainings) for goal in GOALS},
    }


def _seconds_to(goal: float, trainings: Sequence[Training]) -> dict[str, Any]:
    """How many trainings validate at the goal or above after an epoch; median fit seconds to it."""
    reached = []
    for training in trainings:
        epochs = training.val_accuracy
        first = next((n for n, value in enumerate(epochs, 1) if value >= goal), None)
        if first is not None:
            reached.append(training.fit_s * first / len(epochs))
    return {"reached": len(reached), "median_s": median(reached) if reached else None}
