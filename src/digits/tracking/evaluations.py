"""What `evaluate` wrote of a model, logged to the MLflow run of its training."""

import json
from collections.abc import Mapping
from pathlib import Path
from shutil import copyfile, copytree
from typing import Any

import mlflow
from mlflow import MlflowClient
from mlflow.utils.mlflow_tags import MLFLOW_LOGGED_ARTIFACTS

from digits.core.artifacts import EVALUATED, EvaluateOutputs, read_split_rows
from digits.core.files import write_text
from digits.tracking import spool
from digits.tracking.record import ARTIFACTS, Record


def log_evaluation(
    run_id: str, model_id: str, outputs: EvaluateOutputs, digests: Mapping[str, str]
) -> None:
    """Upload what `evaluate` wrote to a finished run, whose status and times stay as they are.

    `digests` maps each split that was evaluated to its md5; the metrics are tied to these datasets.
    The files lie at the top of the run's artifacts, where MLflow's compare page lists what two
    runs have in common; the image grid and the table by class are MLflow's own forms of them.
    """
    record = Record(run_id, datasets=dict(digests), model_id=model_id)
    for split, metrics in _evaluation_metrics(outputs).items():
        record.with_metrics(metrics, split=split)
    with spool.logging(record) as folder:
        artifacts = folder / ARTIFACTS
        copytree(outputs.folder, artifacts)
        record.tags |= _write_tables(outputs, artifacts) | _write_images(outputs, artifacts)
    spool.flush(run_id)


def _write_tables(outputs: EvaluateOutputs, folder: Path) -> dict[str, str]:
    """Write each split's statistics by class as MLflow shows tables; returns the tag that says so.

    MLflow's own function would append to a table that is there already.
    """
    from digits.evaluation.caret import Statistics, as_tables

    tables = []
    for split, written in outputs.read_statistics().items():
        by_class = as_tables(Statistics(**written)).by_class.T.rename_axis("class").reset_index()
        tables.append(f"{split}/by_class.json")
        text = by_class.to_json(orient="split", index=False)
        write_text(folder / tables[-1], text)
    return {MLFLOW_LOGGED_ARTIFACTS: json.dumps([{"path": p, "type": "table"} for p in tables])}


def _write_images(outputs: EvaluateOutputs, folder: Path) -> dict[str, str]:
    """Write each split's confusion matrix for MLflow's image grid; returns the tag that says so."""
    client = _ToFolder(folder)
    for split in EVALUATED:
        picture = mlflow.Image(str(outputs.matrix_picture(split)))
        client.log_image("", picture, key=f"{split}_confusion_matrix", step=0)
    return client.tags


class _ToFolder(MlflowClient):
    """Writes artifacts of a run to a folder, and keeps its tags, in place of a store."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self._folder = folder
        self.tags: dict[str, str] = {}

    def log_artifact(self, run_id: str, local_path: str, artifact_path: str | None = None) -> None:
        """Copy the file to the folder."""
        target = self._folder / (artifact_path or "")
        target.mkdir(parents=True, exist_ok=True)
        copyfile(local_path, target / Path(local_path).name)

    def set_tag(self, run_id: str, key: str, value: Any, synchronous: bool | None = None) -> None:
        """Keep the tag."""
        self.tags[key] = str(value)


def _evaluation_metrics(outputs: EvaluateOutputs) -> dict[str, dict[str, float]]:
    """What is known of each split's rows and answers, by the names they have in MLflow."""
    metrics = {split: {f"{split}_rows": float(n)} for split, n in read_split_rows().items()}
    statistics = outputs.read_statistics()
    for split, scores in outputs.read_metrics().items():
        figures = scores | statistics[split]["overall"]
        metrics[split] |= {f"{split}_{k}": v for k, v in figures.items() if v is not None}
    confidence = outputs.read_confidence()
    for split in EVALUATED:
        sets = confidence[split]
        metrics[split] |= {
            f"{split}_coverage_asked": confidence["asked"],
            f"{split}_coverage": sets["coverage"],
            f"{split}_coverage_lower": sets["lower"],
            f"{split}_coverage_upper": sets["upper"],
            f"{split}_mean_set_size": sets["mean_size"],
            f"{split}_unsure": sets["unsure"],
        }
    test = metrics["test"]
    # MLflow's bars show two decimals
    test["test_accuracy_percent"] = 100 * test["test_accuracy"]
    test |= {f"behaviour_{name}": value for name, value in outputs.read_behaviour().items()}
    return metrics
