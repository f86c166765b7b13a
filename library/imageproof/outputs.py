"""What a training and an evaluation leave in files, each in a folder that `Artifacts` names."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import numpy as np
from pydantic import BaseModel, Field, FiniteFloat

from imageproof.base._dataset import EVALUATED, SPLITS, Dataset, Metrics, load_arrays, save_arrays
from imageproof.base._inference import inconsistency
from imageproof.base.errors import ImageproofError
from imageproof.base.files import StrictModel, parsing, read_json, replacing
from imageproof.dvc.provenance import check_outputs

if TYPE_CHECKING:
    import pandas as pd

    from imageproof.judge._caret import Statistics

SPLIT_TAGS = {name: "split_md5" if name == "train" else f"{name}_md5" for name in SPLITS}

TRAIN_SAMPLE = 2000  # training rows, at most, by which `train_accuracy` is measured


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


class ClassFigures(BaseModel):
    """What `diff` reads of a split in statistics.json, which an older version may have written."""

    by_class: dict[str, dict[str, FiniteFloat | None]]


class Calibration(NamedTuple):
    """What the validation rows say of a model's confidence."""

    temperature: float  # its probabilities are softmax(log(those of the fit) / temperature)
    truth_probabilities: np.ndarray  # of each row's true class: float32 (n,), n ≥ 1, ascending


def read_calibration(path: Path) -> Calibration:
    """A calibration.npz; a DataError if it is missing or damaged."""
    with parsing("calibration", path), path.open("rb") as file:
        arrays = load_arrays(file)
        temperature = float(arrays["temperature"])
        truth = arrays["truth_probabilities"]
        ascending = truth.ndim == 1 and truth.size and (np.diff(truth) >= 0).all()
        if not 0 < temperature < np.inf or not ascending or truth[0] < 0 or truth[-1] > 1:
            raise ValueError("no temperature above 0, or no ascending probabilities")
    return Calibration(temperature, truth)


def epoch_table(history: Sequence[Metrics]) -> "pd.DataFrame":
    """The metrics of each epoch, a row each; the index `epoch` counts from 1."""
    import pandas as pd

    numbers = pd.RangeIndex(1, len(history) + 1, name="epoch")
    return pd.DataFrame(history, index=numbers)


class TrainOutputs:
    """The files of a training in a folder: the model, its learning curves, cost and run."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.model = folder / "model.onnx"  # which answers
        self.keras = folder / "model.keras"  # to go on training with; a text if it is of no Keras
        self.calibration = folder / "calibration.npz"
        self.history = folder / "history.csv"
        self.metrics = folder / "metrics.json"
        self.run = folder / "run.json"

    def check_answers(self, validation: Dataset) -> None:
        """Refuse a model that does not answer the validation rows alike however it is asked."""
        fault, _ = inconsistency(self.model, validation.images)
        if fault:
            raise ImageproofError(f"{self.model}: {fault}; build it of other layers")

    def write_history(self, history: list[Metrics]) -> None:
        with replacing(self.history) as temporary:
            epoch_table(history).to_csv(temporary)

    def read_history(self) -> list[Metrics]:
        """Per epoch `loss accuracy val_loss val_accuracy`; a DataError if missing or damaged."""
        import pandas as pd

        with parsing("learning curves", self.history):
            rows = pd.read_csv(self.history, index_col="epoch", dtype=float).to_dict("records")
        return [{str(name): value for name, value in row.items()} for row in rows]

    def read_metrics(self) -> Metrics:
        """What the training cost, `parameters`, and the `temperature` of its probabilities."""
        return read_json(self.metrics, Metrics)

    def write_calibration(
        self,
        temperature: float,
        truth_probabilities: np.ndarray,
    ) -> None:
        """Keep the temperature, and the probabilities of the validation rows' true classes."""
        truth = np.sort(truth_probabilities)
        arrays = {"temperature": np.array(temperature), "truth_probabilities": truth}
        save_arrays(self.calibration, arrays)

    def read_run(self) -> RunRecord:
        """The record of the run; an IntegrityError if it is not what dvc.lock records."""
        check_outputs([self.run])
        return read_json(self.run, RunRecord)


class BaselineRecord(StrictModel):
    """Which description of the images the baseline is fitted to; see `features._baseline`."""

    name: str
    rows: int  # training rows that it was fitted on
    accuracies: dict[str, float]  # of each description, in folds of these rows


class ScoredOutputs:
    """The files in a folder that say how the rows of each split were answered."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.metrics = folder / "metrics.json"
        self.predictions = folder / "predictions.npz"

    def read_metrics(self) -> dict[str, Metrics]:
        """Per split its scores; of the baseline also the interval of the accuracy."""
        return read_json(self.metrics, dict[str, Metrics])

    def read_predictions(self) -> dict[str, np.ndarray]:
        """Class probabilities float32 (n, classes) per split."""
        with parsing("predictions", self.predictions), self.predictions.open("rb") as file:
            return load_arrays(file)


class BaselineOutputs(ScoredOutputs):
    """The files of the baseline in a folder."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.record = folder / "baseline.json"

    def read_record(self) -> BaselineRecord:
        return read_json(self.record, BaselineRecord)


class EvaluateOutputs(ScoredOutputs):
    """The files of an evaluation in a folder: all that is known of a model."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.statistics = folder / "statistics.json"
        self.behaviour = folder / "behaviour.json"
        self.confidence = folder / "confidence.json"
        self.baseline = folder / "baseline.json"  # how much better the model is
        self.slices = folder / "slices.csv"
        self.reliability = folder / "reliability.csv"
        self.confused = folder / "most_confused.csv"
        self.mistakes = folder / "mistakes.png"  # the most confident ones on the test split
        # by split: rows prediction, columns reference
        self.matrices = {split: folder / f"{split}_confusion_matrix.csv" for split in EVALUATED}

    def matrix_picture(self, split: str) -> Path:
        return self.matrices[split].with_suffix(".png")

    def alluvial(self, split: str) -> Path:
        """Picture of a split's flow from reference to prediction."""
        return self.folder / f"{split}_alluvial.png"

    def read_statistics(self) -> "dict[str, Statistics]":
        """Per split the figures as caret defines them."""
        from imageproof.judge._caret import Statistics

        return read_json(self.statistics, dict[str, Statistics])

    def read_confused(self) -> "pd.DataFrame":
        """The errors that were made in each `split`; see `_confusion.most_confused`."""
        import pandas as pd

        names = {"reference": str, "prediction": str}
        with parsing("most confused classes", self.confused):
            return pd.read_csv(self.confused, dtype=names, keep_default_na=False)

    def read_behaviour(self) -> Metrics:
        """Accuracy `clean` and under each disturbance, of so many test `images`."""
        return read_json(self.behaviour, Metrics)

    def read_confidence(self) -> dict[str, Any]:
        """`asked` coverage, `threshold` of a set's classes; see `confidence.measure` for splits."""
        return read_json(self.confidence, dict[str, Any])

    def read_slices(self) -> "pd.DataFrame":
        """Accuracy in the slices of each `split`; see `_slices.measure`."""
        from imageproof.judge._slices import read_table

        with parsing("slices", self.slices):
            return read_table(self.slices)

    def read_baseline(self) -> dict[str, Any]:
        """`name` of the baseline, and per split what `compare_with_baseline` returns."""
        return read_json(self.baseline, dict[str, Any])


def by_split(metrics: Mapping[str, Mapping[str, float]]) -> dict[str, Any]:
    """Figures of splits under one key each, such as `test_accuracy`."""
    return {
        f"{split}_{name}": value
        for split, figures in metrics.items()
        for name, value in figures.items()
    }


def write_by_split(path: Path, tables: "Mapping[str, pd.DataFrame]") -> None:
    """Write the tables of all splits as one CSV, with the column `split`."""
    import pandas as pd

    with replacing(path) as temporary:
        pd.concat(tables, names=["split"]).droplevel(1).to_csv(temporary)
