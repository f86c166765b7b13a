"""The table of models side by side: accuracy, training time, size, latency."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from imageproof.judge.timing import SHARED_CORES, comparable_s

MEANINGS = {  # of the table's headings that are no plain words
    "balanced accuracy": "mean share of each class that is right",
    "macro-F1": "mean F1: harmonic mean of sensitivity and positive predictive value",
    "top-5 accuracy": "share of the test rows whose class is among the five most probable",
    "weakest class": "the one with the smallest share that is right, and that share",
    "test loss": "mean −ln of the probability given to the true class",
    "calibration error": "mean gap between confidence and accuracy",
    "hold-out accuracy": "on the rows by which the gate judges",
    "user s": "CPU seconds in the training's own code, all cores added up",
    "system s": "CPU seconds in the system's code, all cores added up",
    "shared cores": f"used by others meanwhile; from {SHARED_CORES} on times are not compared",
    "times": "elapsed s, as a multiple of the fastest model's",
    "p50 ms": "milliseconds until one image is answered, median",
    "p95 ms": "milliseconds within which 95 % of single images are answered",
    "images/s": "answered in batches of 512",
}


class Row(NamedTuple):
    """One model and its MLflow run: accuracies 0…1, losses in nats, latency of one image."""

    model: str
    test_accuracy: float
    test_balanced_accuracy: float
    test_macro_f1: float
    test_loss: float
    test_ece: float
    weakest_class: str
    weakest_sensitivity: float
    holdout_accuracy: float
    holdout_balanced_accuracy: float
    holdout_macro_f1: float
    holdout_loss: float
    user_s: float
    system_s: float
    elapsed_s: float
    epoch_s: float
    shared_cores: float
    parameters: int
    size_bytes: int
    p50_ms: float
    p95_ms: float
    images_per_s: float
    run_id: str
    temperature: float = 0.0
    test_top5_accuracy: float | None = None  # of few classes


class Comparison(NamedTuple):
    """What the `compare` stage writes as JSON; `pairs` are results of `comparison.as_dict`."""

    models: list[Row]
    pairs: list[dict[str, Any]]
    verdicts: list[str]


def time_ratios(rows: Sequence[Row]) -> dict[str, float]:
    """Training times that can be compared, each divided by the shortest."""
    times = {row.model: s for row in rows if (s := comparable_s(row.elapsed_s, row.shared_cores))}
    return {model: s / min(times.values()) for model, s in times.items()}


def shared_times(rows: Sequence[Row]) -> list[str]:
    return [
        f"{row.model}'s training time cannot be compared: other processes used "
        f"{row.shared_cores:.1f} of its cores meanwhile"
        for row in rows
        if row.shared_cores >= SHARED_CORES
    ]


def other_processors(processors: Mapping[str, str]) -> list[str]:
    """A line if the models' training times are not of one processor."""
    if len({*processors.values()}) < 2:
        return []
    on = ", ".join(f"{model} on {name or 'an unknown one'}" for model, name in processors.items())
    return [f"Training times cannot be compared, as processors differ: {on}"]


def cells(rows: Sequence[Row]) -> list[dict[str, str]]:
    """The table as text: per model, a mapping from heading to cell."""
    ratios = time_ratios(rows)
    return [
        {
            "model": row.model,
            "test accuracy": f"{row.test_accuracy:.4f}",
            "balanced accuracy": f"{row.test_balanced_accuracy:.4f}",
            "macro-F1": f"{row.test_macro_f1:.4f}",
            **_top5(row),
            "weakest class": f"{row.weakest_class}: {row.weakest_sensitivity:.4f}",
            "test loss": f"{row.test_loss:.4f}",
            "calibration error": f"{row.test_ece:.4f}",
            "hold-out accuracy": f"{row.holdout_accuracy:.4f}",
            "hold-out balanced accuracy": f"{row.holdout_balanced_accuracy:.4f}",
            "hold-out macro-F1": f"{row.holdout_macro_f1:.4f}",
            "hold-out loss": f"{row.holdout_loss:.4f}",
            "user s": f"{row.user_s:.1f}",
            "system s": f"{row.system_s:.1f}",
            "elapsed s": f"{row.elapsed_s:.1f}",
            "s/epoch": f"{row.epoch_s:.2f}",
            "shared cores": f"{row.shared_cores:.1f}",
            "times": f"{ratios[row.model]:.1f}×" if row.model in ratios else "n/a",
            "parameters": f"{row.parameters:,}",
            "size MB": f"{row.size_bytes / 1e6:.1f}",
            "p50 ms": f"{row.p50_ms:.2f}",
            "p95 ms": f"{row.p95_ms:.2f}",
            "images/s": f"{row.images_per_s:,.0f}",
            "run": row.run_id[:8],
        }
        for row in rows
    ]


def _top5(row: Row) -> dict[str, str]:
    top5 = row.test_top5_accuracy
    return {} if top5 is None else {"top-5 accuracy": f"{top5:.4f}"}
