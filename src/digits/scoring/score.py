"""Scoring with a registered model: validate, predict in batches, look for drift, track."""

import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from digits.core.artifacts import read_split, split_path
from digits.core.dataset import Predict
from digits.core.errors import DataError, printable
from digits.core.files import md5
from digits.data.validation.validate import validate_unlabelled
from digits.evaluation.drift import Drift, DriftParams, class_drift, value_drift
from digits.params import Params
from digits.registry.served import Served
from digits.scoring.inputs import Input, open_input
from digits.scoring.output import predictions
from digits.scoring.statistics import figures, image_frame
from digits.tracking import runs

EXPERIMENT = "digits-scoring"


@dataclass(frozen=True, slots=True)
class Scored:
    """What came of scoring: rows, how fast, how often each class, and how far from training.

    `pictures` counts how the pictures of a folder became the model's input; see
    `images.TREATMENTS`.
    """

    input: str
    output: str
    model: str
    data_md5: str
    rows: int
    rows_per_s: float
    pictures: dict[str, int]
    class_counts: list[int]
    warnings: list[str]
    drift: list[Drift]

    @property
    def drifted(self) -> list[str]:
        """What no longer looks like the training data."""
        return [drift.name for drift in self.drift if drift.drifted]

    def as_dict(self) -> dict[str, Any]:
        """Ready for JSON."""
        return {**asdict(self), "drifted": self.drifted}


def score(path: Path, output: Path, model: Served, *, params: Params) -> Scored:
    """Write the predictions for every image at `path` to a Parquet file; log an MLflow run.

    The input is read twice: it is judged whole before anything is predicted.

    Raises:
        DataError: the input cannot be read, or validation has critical findings.
    """
    source = open_input(path, shape=model.shape, picture=model.picture)
    images = image_frame((figures(b.images) for b in source.batches()), shape=model.shape)
    judged = validate_unlabelled(images, params=params.validation)
    if judged.critical:
        raise DataError(*(f"{path}: {finding}" for finding in judged.critical))
    data_md5 = source.md5()
    predict = model.predict  # loads the model, which is no part of the rate
    started = time.perf_counter()
    counts, pictures = _predict(source, output, model, predict, data_md5)
    scored = Scored(
        input=printable(str(path)),
        output=printable(str(output)),
        model=model.name,
        data_md5=data_md5,
        rows=len(images),
        rows_per_s=len(images) / (time.perf_counter() - started),
        pictures=dict(pictures),
        class_counts=counts.tolist(),
        warnings=[str(finding) for finding in judged.warnings],
        drift=_drift(images, counts, model, params.drift),
    )
    _track(scored)
    return scored


def _predict(
    source: Input, output: Path, model: Served, predict: Predict, data_md5: str
) -> tuple[np.ndarray, Counter[str]]:
    """Write the predictions; returns how often each class was predicted, int64 (classes,), and
    how often pictures were treated how.
    """
    counts, pictures = np.zeros(model.classes, dtype=np.int64), Counter[str]()
    with predictions(output, model=model.name, data_md5=data_md5) as writer:
        for batch in source.batches():
            probabilities = predict(batch.images)
            writer.write(batch, probabilities)
            counts += np.bincount(probabilities.argmax(axis=1), minlength=model.classes)
            pictures.update(batch.treatments)
    return counts, pictures


def _drift(
    images: pd.DataFrame, counts: np.ndarray, model: Served, params: DriftParams
) -> list[Drift]:
    """Compare with the training split, where the one here is the one the model was fitted on."""
    path = split_path("train")
    if not path.exists() or md5(path) != model.origin.splits.get("train"):
        return []
    trained = read_split("train").data
    low, high, ink = figures(trained.images)
    labels = np.bincount(trained.labels, minlength=model.classes)
    return [
        value_drift("mean_ink", images["mean_ink"].to_numpy(), ink, params),
        value_drift("contrast", images["contrast"].to_numpy(), high - low, params),
        class_drift("class_shares", counts, labels, params),
    ]


def _track(scored: Scored) -> None:
    import mlflow

    metrics: dict[str, float] = {"rows": scored.rows, "rows_per_s": scored.rows_per_s}
    for treatment, count in scored.pictures.items():
        metrics[f"pictures_{treatment.replace(' ', '_')}"] = count
    for drift in scored.drift:
        metrics[f"drift_{drift.name}_effect"] = drift.effect
        metrics[f"drift_{drift.name}_p_value"] = drift.p_value
    tags: Mapping[str, str] = {
        "scored_by": scored.model,
        "data_md5": scored.data_md5,
        "drifted": ", ".join(scored.drifted),
    }
    settings = {"input": scored.input, "output": scored.output}
    with runs.run("score", experiment=EXPERIMENT, params=settings, tags=tags):
        mlflow.log_metrics(metrics)
