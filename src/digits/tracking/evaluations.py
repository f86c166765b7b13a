"""What `evaluate` wrote of a model, logged to the MLflow run of its training."""

from collections.abc import Mapping

import mlflow
from mlflow import MlflowClient
from mlflow.entities import Run, RunTag

from digits.core.artifacts import EVALUATED, EvaluateOutputs, read_split_rows
from digits.core.files import folder_sha256
from digits.tracking import runs

ANSWER_SETS = {  # names in MLflow, and in confidence.json
    **{"coverage": "coverage", "coverage_lower": "lower", "coverage_upper": "upper"},
    **{"mean_set_size": "mean_size", "unsure": "unsure"},
}
SHA256 = "evaluation_sha256"  # tag of a run that has all of an evaluation


def sha256(outputs: EvaluateOutputs) -> str:
    """The SHA-256 of what `evaluate` wrote of a model; empty if it wrote nothing."""
    return folder_sha256(outputs.folder) if outputs.metrics.exists() else ""


def log_evaluation(run: Run, outputs: EvaluateOutputs, digests: Mapping[str, str]) -> None:
    """Upload what `evaluate` wrote to a finished run, whose status and times stay as they are.

    `digests` maps each split that was evaluated to its md5; the metrics are tied to these datasets.
    The tag SHA256 is logged last.
    """
    client, run_id = MlflowClient(), run.info.run_id
    client.log_artifacts(run_id, str(outputs.folder))
    for split in EVALUATED:
        picture = mlflow.Image(str(outputs.matrix_picture(split)))
        client.log_image(run_id, picture, key=f"{split}_confusion_matrix", step=0)
    runs.log_datasets(run_id, digests)
    metrics = [
        runs.metric(
            key,
            value,
            model_id=runs.model_id(run),
            dataset_name=split if split in digests else None,
            dataset_digest=digests.get(split),
        )
        for split, of_split in _evaluation_metrics(outputs).items()
        for key, value in of_split.items()
    ]
    client.log_batch(run_id, metrics, tags=[RunTag(SHA256, sha256(outputs))])


def _evaluation_metrics(outputs: EvaluateOutputs) -> dict[str, dict[str, float]]:
    """What is known of each split's rows and answers, by the names they have in MLflow."""
    metrics = {split: {f"{split}_rows": float(n)} for split, n in read_split_rows().items()}
    statistics, confidence = outputs.read_statistics(), outputs.read_confidence()
    for split, scores in outputs.read_metrics().items():
        figures = scores | statistics[split]["overall"] | {"coverage_asked": confidence["asked"]}
        figures |= {name: confidence[split][key] for name, key in ANSWER_SETS.items()}
        metrics[split] |= {f"{split}_{k}": v for k, v in figures.items() if v is not None}
    test = metrics["test"]
    # MLflow's bars show two decimals
    test["test_accuracy_percent"] = 100 * test["test_accuracy"]
    test |= {f"behaviour_{name}": value for name, value in outputs.read_behaviour().items()}
    return metrics
