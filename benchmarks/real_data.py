"""What early stopping saves, and what class weights give where classes are uneven."""

from collections.abc import Iterator
from statistics import mean, median
from typing import Any

import numpy as np

from benchmarks.markdown import table
from benchmarks.workspace import Workspace
from imageproof.artifacts import Artifacts
from imageproof.data.readers._raw import read_parts
from imageproof.judge._caret import weakest

SEEDS = 5
STOPPED = "cnn"
UNEVEN_SEEDS = 3
UNEVEN = ("mlp", "compact")
RULES: dict[str, dict[str, Any]] = {
    "all epochs, the last is kept": {"early_stopping": None, "keep": "last"},
    "`patience: 3`, `keep: best`": {
        "early_stopping": {"monitor": "val_loss", "patience": 3},
        "keep": "best",
    },
}
WEIGHINGS: dict[str, dict[str, Any]] = {
    "no weights": {},
    "`class_weights: balanced`": {"class_weights": "balanced"},
    "focal loss": {"loss": "categorical_focal_crossentropy"},
}
FEWEST = 0.01  # share of its rows that the rarest class keeps


def measure_stopping(workspace: Workspace) -> Iterator[dict[str, Any]]:
    """Fit seconds, epochs and test accuracy of the CNN by both rules, which take turns."""
    workspace.split()
    trainings: dict[str, list[tuple[float, ...]]] = {rule: [] for rule in RULES}
    for seed in range(SEEDS):
        for rule, keys in RULES.items():
            changes = {f"train__{STOPPED}__fit__{key}": value for key, value in keys.items()}
            workspace.set_params(**changes)
            training = workspace.train(STOPPED, seed=seed)
            cost = workspace.training_metrics(STOPPED)
            epochs = len(training.val_accuracy)
            accuracy = workspace.test_accuracy(STOPPED)
            trainings[rule].append((training.fit_s, cost["user_s"], epochs, accuracy))
        yield {
            rule: {
                "seeds": len(rows),
                "fit_s": median(row[0] for row in rows),
                "user_s": median(row[1] for row in rows),
                "epochs": [int(row[2]) for row in rows],
                "accuracy_mean": mean(row[3] for row in rows),
            }
            for rule, rows in trainings.items()
        }


def measure_uneven(workspace: Workspace) -> Iterator[dict[str, Any]]:
    """Accuracy, balanced accuracy and weakest class where class 9 keeps 1 % of its rows."""
    thin_out(workspace)
    workspace.split()
    scores_of: dict[str, dict[str, list[dict[str, float]]]] = {}
    for seed in range(UNEVEN_SEEDS):
        for model in UNEVEN:
            defaults = {"class_weights": None, "loss": "categorical_crossentropy"}
            for name, keys in WEIGHINGS.items():
                changes = {f"train__{model}__fit__{k}": v for k, v in (defaults | keys).items()}
                workspace.set_params(**changes)
                workspace.train(model, seed=seed)
                workspace.test_accuracy(model)
                outputs = Artifacts(workspace.root).evaluated(model)
                scores = outputs.read_metrics()["test"]
                row = {name: scores[name] for name in ("accuracy", "balanced_accuracy", "macro_f1")}
                _, row["weakest_class"] = weakest(outputs.read_statistics()["test"].by_class)
                scores_of.setdefault(model, {}).setdefault(name, []).append(row)
    yield {
        model: {
            name: {key: mean(row[key] for row in rows) for key in rows[0]}
            for name, rows in weighings.items()
        }
        for model, weighings in scores_of.items()
    }


def thin_out(workspace: Workspace) -> None:
    """Leave of the training rows of class c the share 0.01^(c / 9), drawn with a fixed seed."""
    folder = workspace.root / "data"
    train, test = (part.data for part in read_parts(folder))
    labels = train.labels
    random = np.random.default_rng(0)
    rows_of_classes = [np.flatnonzero(labels == c) for c in range(labels.max() + 1)]
    shares = np.geomspace(1, FEWEST, len(rows_of_classes))
    pairs = zip(rows_of_classes, shares, strict=True)
    kept = [random.permutation(rows)[: round(len(rows) * share)] for rows, share in pairs]
    rows = np.sort(np.concatenate(kept))
    arrays = {"x_train": train.images[rows], "y_train": labels[rows]}
    arrays |= {"x_test": test.images, "y_test": test.labels}
    for old in folder.iterdir():
        old.unlink()
    np.savez(folder / "uneven.npz", **arrays)


def stopping_section(part: dict[str, Any]) -> str:
    body = [
        [
            rule,
            str(row["seeds"]),
            ", ".join(map(str, row["epochs"])),
            f"{row['fit_s']:.1f}",
            f"{row['user_s']:.1f}",
            f"{row['accuracy_mean']:.2%}",
        ]
        for rule, row in part.items()
    ]
    head = ["cnn", "seeds", "epochs", "fit s, median", "user s, median", "test accuracy, mean"]
    return f"## Early stopping\n\n{table(head, body)}"


def uneven_section(part: dict[str, Any]) -> str:
    figures = ("accuracy", "balanced_accuracy", "macro_f1", "weakest_class")
    body = [
        [model, name, *(f"{row[figure]:.2%}" for figure in figures)]
        for model, weighings in part.items()
        for name, row in weighings.items()
    ]
    head = ["model", "recipe", "test accuracy", "balanced", "macro-F1", "weakest class"]
    return f"""## Uneven classes

Class 0 keeps all training rows, class 9 one per cent, the others shares between; means of 3 seeds.

{table(head, body)}"""
