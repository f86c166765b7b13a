"""Every path under artifacts/, and how the outputs of the stages are read back."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, NamedTuple
from urllib.parse import quote

import numpy as np
from pydantic import Field

from digits.toolkit.dataset import Split, load_arrays, load_split, save_arrays
from digits.toolkit.errors import DataError
from digits.toolkit.files import ANEW, StrictModel, read_json, reading_as, replacing
from digits.toolkit.pipeline.provenance import ARTIFACTS, check_outputs, recorded_outputs

ROOT = ARTIFACTS
VALIDATION = ROOT / "validate" / "result.json"
EXPLORE = ROOT / "explore"
SPLIT_SUMMARY = ROOT / "split" / "split.json"
COMPARE = ROOT / "compare"
COMPARISON = COMPARE / "comparison.json"
LEARNING_CURVES = COMPARE / "learning_curves.csv"
CONFUSION = COMPARE / "confusion.csv"
REPORT = ROOT / "report" / "index.html"
RUNS = ROOT / "runs"  # a page per training, which redirects to its run in MLflow
MONITOR = ROOT / "monitor" / "monitor.html"

SPLITS = ("train", "validation", "test", "holdout")
EVALUATED = ("test", "holdout")
SPLIT_TAGS = {name: "split_md5" if name == "train" else f"{name}_md5" for name in SPLITS}

Metrics = dict[str, float]


class RunRecord(StrictModel):
    """The MLflow run of a training, with all that is needed to log it again elsewhere."""

    run_id: Annotated[str, Field(pattern=r"^[0-9a-f]*$")]  # becomes the name of a file
    model_id: str
    experiment_id: str
    tracking_uri: str
    name: str
    params: dict[str, Any]
    tags: dict[str, str]
    datasets: dict[str, str]  # the md5 of each split it was fitted on
    params_yaml: str  # the text of that file

    def page(self) -> str:
        """Address of the run in the report; it also finds the run that `digits restore` logs."""
        if not self.tracking_uri.startswith("http"):
            return f"../{RUNS.name}/{self.run_id}.html"  # which `make ui` writes
        where = quote(f"tags.training = '{self.run_id}'")
        runs = f"experiments/{self.experiment_id}/runs?searchFilter={where}"
        return f"{self.tracking_uri.rstrip('/')}/#/{runs}&workflowType=machine_learning"


def split_path(name: str) -> Path:
    return ROOT / "split" / f"{name}.npz"


def split_tags(read: Mapping[str, str]) -> dict[str, str]:
    """The md5 of each split as tags: as given in `read` (split to md5), else as in dvc.lock."""
    recorded = recorded_outputs()
    digests = {name: recorded.get(split_path(name), "") for name in SPLITS} | dict(read)
    return {SPLIT_TAGS[name]: digests[name] for name in SPLITS if digests[name]}


def read_split(name: str, *, classes: int | None = None) -> Split:
    """One split; a DataError if it is missing or damaged, or a label is not below `classes`."""
    path = split_path(name)
    split = load_split(path)
    if classes and (highest := split.data.labels.max()) >= classes:
        raise DataError(f"{path}: has label {highest}, params.yaml {classes} classes; {ANEW}")
    return split


def read_split_summary() -> dict[str, Any]:
    """`rows` per split, `copies` of training rows per split, `sources`: parts of the raw data."""
    return read_json(SPLIT_SUMMARY, dict[str, Any], keys=("rows", "copies", "sources"))


def copies_found() -> list[str]:
    """A line if rows that judge a model are copies of its training rows, by split.json."""
    summary = read_split_summary()
    rows, copies = summary["rows"], summary["copies"]
    found = [f"{n:,} of {rows[part]:,} {part}" for part, n in copies.items() if n]
    mend = "accuracy on them is too high; set split.copies: drop (or together)"
    return [f"{', '.join(found)} rows are copies of training images: {mend}"] if found else []


def in_file(rows: np.ndarray) -> tuple[str, np.ndarray]:
    """Raw rows of one split as the file of the data that has them, and its rows, from 0."""
    sources = read_split_summary()["sources"]
    first = sources["train"]["rows"]
    if len(rows) and rows.min() >= first:
        return sources["official_test"]["file"], rows - first
    return sources["train"]["file"], rows


def write_learning_curves(histories: Mapping[str, list[Metrics]]) -> None:
    """Write the learning curves of all models as one table, a row per model and epoch."""
    import pandas as pd

    frames = {model: pd.DataFrame(history) for model, history in histories.items()}
    with replacing(LEARNING_CURVES) as temporary:
        pd.concat(frames, names=["model", "epoch"]).to_csv(temporary)


class Calibration(NamedTuple):
    """What the validation rows say of a model's confidence."""

    temperature: float  # its probabilities are softmax(log(those of the fit) / temperature)
    truth_probabilities: np.ndarray  # of each row's true class: float32 (n,), n ≥ 1, ascending


def read_calibration(path: Path) -> Calibration:
    """A calibration.npz; a DataError if it is missing or damaged."""
    with reading_as("calibration", path), path.open("rb") as file:
        arrays = load_arrays(file)
        temperature, truth = float(arrays["temperature"]), arrays["truth_probabilities"]
        ascending = truth.ndim == 1 and truth.size and (np.diff(truth) >= 0).all()
        if not 0 < temperature < np.inf or not ascending or truth[0] < 0 or truth[-1] > 1:
            raise ValueError("no temperature above 0, or no ascending probabilities")
    return Calibration(temperature, truth)


class TrainOutputs:
    """artifacts/train/<model>/ in `root`: the model, its learning curves, cost and run."""

    def __init__(self, model: str, root: Path = Path()) -> None:
        self.folder = root / ROOT / "train" / model
        self.model = self.folder / "model.onnx"  # the file that answers
        self.keras = self.folder / "model.keras"  # the same network, to go on training with
        self.calibration = self.folder / "calibration.npz"
        self.history = self.folder / "history.csv"
        self.metrics = self.folder / "metrics.json"
        self.run = self.folder / "run.json"

    def write_history(self, history: list[Metrics]) -> None:
        import pandas as pd

        with replacing(self.history) as temporary:
            pd.DataFrame(history).to_csv(temporary, index_label="epoch")

    def read_history(self) -> list[Metrics]:
        """Per epoch `loss accuracy val_loss val_accuracy`; a DataError as in all that reads."""
        import pandas as pd

        with reading_as("learning curves", self.history):
            rows = pd.read_csv(self.history, index_col="epoch", dtype=float).to_dict("records")
        return [{str(name): value for name, value in row.items()} for row in rows]

    def read_metrics(self) -> Metrics:
        """What the training cost, `parameters`, and the `temperature` of its probabilities."""
        keys = ("user_s", "system_s", "elapsed_s", "epoch_s", "parameters")
        return read_json(self.metrics, Metrics, keys=keys)

    def write_calibration(self, temperature: float, truth_probabilities: np.ndarray) -> None:
        both = {"temperature": np.array(temperature), "truth_probabilities": truth_probabilities}
        save_arrays(self.calibration, both)

    def read_run(self) -> RunRecord:
        """The record of the run; an IntegrityError if it is not what dvc.lock records."""
        check_outputs([self.run])
        return read_json(self.run, RunRecord)


class EvaluateOutputs:
    """artifacts/evaluate/<model>/ in `root`: all that is known of a model."""

    def __init__(self, model: str, root: Path = Path()) -> None:
        self.folder = root / ROOT / "evaluate" / model
        self.metrics = self.folder / "metrics.json"
        self.statistics = self.folder / "statistics.json"
        self.behaviour = self.folder / "behaviour.json"
        self.confidence = self.folder / "confidence.json"
        self.reliability = self.folder / "reliability.csv"
        self.reliability_picture = self.folder / "reliability.png"
        self.predictions = self.folder / "predictions.npz"
        self.mistakes = self.folder / "mistakes.png"  # the most confident ones on the test split

    def matrix(self, split: str) -> Path:
        """CSV of a split's confusion matrix: rows prediction, columns reference."""
        return self.folder / f"{split}_confusion_matrix.csv"

    def matrix_picture(self, split: str) -> Path:
        return self.matrix(split).with_suffix(".png")

    def alluvial(self, split: str) -> Path:
        return self.folder / f"{split}_alluvial.png"

    def read_metrics(self) -> dict[str, Metrics]:
        return read_json(self.metrics, dict[str, Metrics], keys=EVALUATED)

    def read_statistics(self) -> dict[str, dict[str, Any]]:
        """Per split `overall`, `by_class` and `undefined`; see `caret.Statistics`."""
        return read_json(self.statistics, dict[str, dict[str, Any]], keys=EVALUATED)

    def read_behaviour(self) -> Metrics:
        """Accuracy under each disturbance of the test images."""
        return read_json(self.behaviour, Metrics)

    def read_confidence(self) -> dict[str, Any]:
        """`asked` coverage, `threshold` probability of a set's classes, `Coverage` per split."""
        return read_json(self.confidence, dict[str, Any], keys=("asked", "threshold", *EVALUATED))

    def read_predictions(self) -> dict[str, np.ndarray]:
        """Class probabilities float32 (n, classes) per split."""
        with reading_as("predictions", self.predictions), self.predictions.open("rb") as file:
            arrays = load_arrays(file)
            if any(arrays[split].ndim != 2 or not arrays[split].size for split in EVALUATED):
                raise ValueError("no rows of probabilities")
        return arrays
