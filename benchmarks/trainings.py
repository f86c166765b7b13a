"""Trainings: every model over seeds."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from statistics import median, stdev
from typing import Any

from benchmarks import machine
from benchmarks.markdown import or_blank, table
from benchmarks.workspace import Training, Workspace

SEEDS = {"sprint": 5, "compact": 5, "mlp": 3, "cnn": 3}
BEST = {"best": 3}
# Accuracies of the seed experiment's MLP and CNN.
GOALS = (0.9768, 0.9909)
# A training step costs about three forward passes: one, and two for the gradients.
PASSES = 3
IMAGES = 48_000

EXAMPLES = {"sprint", "best"}  # of examples/models


def measure_trainings(
    workspace: Workspace, seeds: dict[str, int] = SEEDS
) -> Iterator[dict[str, Any]]:
    """Train each model over its seeds.

    All models take turns, so that a slow quarter of an hour affects all alike. Yields the result
    so far after each round of seeds.
    """
    for name in EXAMPLES & seeds.keys():
        workspace.add_example(name)
    workspace.split()
    trainings: dict[str, list[tuple[Training, float]]] = defaultdict(list)
    rate = machine.matrix_product_rate()
    for seed in range(max(seeds.values())):
        for model in [model for model, count in seeds.items() if seed < count]:
            training = workspace.train(model, seed=seed)
            trainings[model].append((training, workspace.test_accuracy(model)))
            print(f"{model} seed {seed}: {training.fit_s:.1f} s", flush=True)
        rows = {name: _row(*zip(*pairs, strict=True)) for name, pairs in trainings.items()}
        for model in seeds:
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


def trainings_section(part: dict[str, Any]) -> str:
    return f"""## Trainings

48,000 images, tracked in MLflow; the models take turns; medians over the seeds. *s to …* are the
seconds of the fit until the end of the first epoch whose validation accuracy reaches that of the
seed experiment's MLP and CNN; in brackets how many seeds reached it, if not all did. *Beyond fit*
is the rest of the command: imports, data, logging. *Of matrix rate* is the rate of float operations
of the fit (three forward passes per image), as a share of the
{part["matrix_product_per_s"] / 1e9:.0f} GFLOP/s of a float32 matrix product on this machine; mixed
precision may exceed it.

{_models_table(part["models"])}"""


def best_section(part: dict[str, Any]) -> str:
    return f"## The most accurate model\n\n{_models_table(part['models'])}"


def _models_table(rows: dict[str, Any]) -> str:
    cnn = rows.get("cnn", {}).get("fit_s")
    goals = list(next(iter(rows.values()))["seconds_to"])
    head = ["model", "seeds", "fit s", "of the cnn's", "beyond fit s", "test accuracy % mean"]
    head += ["min", "sd", *(f"s to {float(goal):.2%}" for goal in goals), "of matrix rate"]
    body = [
        [
            name,
            str(row["seeds"]),
            f"{row['fit_s']:.1f}",
            f"1/{cnn / row['fit_s']:.1f}" if cnn else "",
            f"{row['beyond_fit_s']:.1f}",
            f"{row['accuracy_mean']:.2%}".rstrip("%"),
            f"{row['accuracy_min']:.2%}".rstrip("%"),
            "" if row["accuracy_sd"] is None else f"{100 * row['accuracy_sd']:.2f}",
            *(_reached(row["seconds_to"][goal], row["seeds"]) for goal in goals),
            or_blank(row.get("matrix_rate_share"), "{:.0%}"),
        ]
        for name, row in rows.items()
    ]
    return table(head, body)


def _reached(goal: dict[str, Any], seeds: int) -> str:
    if goal["reached"] == 0:
        return "–"
    often = "" if goal["reached"] == seeds else f" ({goal['reached']} of {seeds})"
    return f"{goal['median_s']:.1f}{often}"
