"""Where the stages keep their outputs under artifacts/, and how these are read back."""

import csv
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import BaseModel, ConfigDict

from digits.core.dataset import Split, load_arrays, load_split, save_arrays
from digits.core.errors import DataError
from digits.core.files import ANEW, read_json, replacing, write_json
from digits.core.provenance import check_outputs, recorded_outputs

ROOT = Path("artifacts")
SPLITS = ("train", "validation", "test", "holdout")
EVALUATED = ("test", "holdout")
SPLIT_TAGS = {name: "split_md5" if name == "train" else f"{name}_md5" for name in SPLITS}

LOCAL_UI = "http://127.0.0.1:5000"  # where `make ui` shows runs that were logged to a file
_PAGE = "workflowType=machine_learning"  # else MLflow 3 opens among its tools for language models

Metrics = dict[str, float]


class RunRecord(BaseModel):
    """The MLflow run of a training, and what it takes to log that run again elsewhere.

    `datasets` maps each split the model was fitted on to its md5; `params_yaml` is the whole file
    that it was trained by (empty in records of old).
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    run_id: str
    model_id: str
    experiment_id: str
    tracking_uri: str
    name: str
    params: dict[str, Any]
    tags: dict[str, str]
    datasets: dict[str, str]
    params_yaml: str = ""

    @property
    def on_server(self) -> bool:
        """Whether an MLflow server shows the run already; otherwise start `make ui` first."""
        return self.tracking_uri.startswith(("http://", "https://"))

    def page(self, local: str = LOCAL_UI) -> str:
        """Address of the run in MLflow's UI; `local` serves runs that were logged to a file."""
        server = (self.tracking_uri if self.on_server else local).rstrip("/")
        return f"{server}/#/experiments/{self.experiment_id}/runs/{self.run_id}?{_PAGE}"


def split_path(name: str) -> Path:
    """The npz file of one split."""
    return ROOT / "split" / f"{name}.npz"


def split_tags(read: Mapping[str, str]) -> dict[str, str]:
    """The md5 of each split as tags: of those `read` by now, and as dvc.lock has the others."""
    recorded = recorded_outputs()
    known = {name: recorded.get(split_path(name), "") for name in SPLITS} | dict(read)
    return {SPLIT_TAGS[name]: known[name] for name in SPLITS if known[name]}


def read_split(name: str, *, classes: int | None = None) -> Split:
    """One split; see `digits.core.dataset.load_split`.

    Raises:
        DataError: it is missing, not such a split, or has labels that are none of the `classes`.
    """
    path = split_path(name)
    found = load_split(path)
    if classes and (highest := found.data.labels.max()) >= classes:
        raise DataError(
            f"{path}: has label {highest}, params.yaml {classes} classes;"
            " set data.classes, or `dvc repro -f split` makes it anew"
        )
    return found


class TrainOutputs:
    """artifacts/train/<model>/ in `root`: the model, its learning curves, cost and run."""

    def __init__(self, model: str, root: Path = Path()) -> None:
        self.folder = root / ROOT / "train" / model
        self.model = self.folder / "model.keras"
        self.history = self.folder / "history.csv"
        self.metrics = self.folder / "metrics.json"
        self.run = self.folder / "run.json"

    def write_history(self, history: list[Metrics]) -> None:
        """One row per epoch, counted from 0."""
        import pandas as pd

        with replacing(self.history) as temporary:
            pd.DataFrame(history).to_csv(temporary, index_label="epoch")

    def read_history(self) -> list[Metrics]:
        """Per epoch `loss accuracy val_loss val_accuracy`.

        Raises:
            DataError: it is missing or damaged; so all that reads outputs.
        """
        try:
            with self.history.open(newline="", encoding="utf-8") as file:
                rows = list(csv.DictReader(file))
            return [{k: float(value) for k, value in row.items() if k != "epoch"} for row in rows]
        except (OSError, ValueError, TypeError, csv.Error) as error:
            raise DataError(f"{self.history}: no learning curves ({error}); {ANEW}") from None

    def read_metrics(self) -> Metrics:
        """What the training cost, and `parameters`."""
        cost = ("user_s", "system_s", "elapsed_s", "epoch_s", "parameters")
        return read_json(self.metrics, Metrics, keys=cost)

    def read_run(self) -> RunRecord:
        """The record of the run.

        Raises:
            DataError: there is none, or it is damaged.
            IntegrityError: it is not what dvc.lock records.
        """
        check_outputs([self.run])
        return read_json(self.run, RunRecord)


class EvaluateOutputs:
    """artifacts/evaluate/<model>/: metrics, probabilities and confusion matrices per split."""

    def __init__(self, model: str) -> None:
        self.folder = ROOT / "evaluate" / model
        self.metrics = self.folder / "metrics.json"
        self.predictions = self.folder / "predictions.npz"
        self.statistics = self.folder / "statistics.json"
        self.behaviour = self.folder / "behaviour.json"

    def matrix(self, split: str) -> Path:
        """CSV of one split's confusion matrix: rows prediction, columns reference."""
        return self.folder / f"{split}_confusion_matrix.csv"

    def write_matrix(self, split: str, matrix: np.ndarray, *, names: list[str]) -> None:
        """Write one split's confusion matrix int64 (classes, classes) with class names."""
        import pandas as pd

        frame = pd.DataFrame(matrix, index=names, columns=names)
        with replacing(self.matrix(split)) as temporary:
            frame.to_csv(temporary, index_label="prediction")

    def write_metrics(self, metrics: dict[str, Metrics]) -> None:
        """Metrics per split."""
        write_json(self.metrics, metrics)

    def read_metrics(self) -> dict[str, Metrics]:
        """Metrics per split."""
        metrics = read_json(self.metrics, dict[str, Metrics], keys=EVALUATED)
        if any({"accuracy", "loss"} - scores.keys() for scores in metrics.values()):
            raise DataError(f"{self.metrics}: holds no accuracy or no loss; {ANEW}")
        return metrics

    def read_behaviour(self) -> Metrics:
        """Accuracy under each disturbance of the test images."""
        return read_json(self.behaviour, Metrics)

    def write_predictions(self, probabilities: dict[str, np.ndarray]) -> None:
        """Class probabilities float32 (n, classes) per split."""
        with replacing(self.predictions) as temporary:
            save_arrays(temporary, probabilities)

    def read_predictions(self) -> dict[str, np.ndarray]:
        """Class probabilities float32 (n, classes) per split."""
        try:
            with self.predictions.open("rb") as file:
                arrays = load_arrays(file)
            if any(arrays[split].ndim != 2 or not arrays[split].size for split in EVALUATED):
                raise ValueError("no rows of probabilities")
        except (OSError, ValueError, KeyError) as error:
            raise DataError(f"{self.predictions}: no predictions ({error}); {ANEW}") from None
        return arrays
