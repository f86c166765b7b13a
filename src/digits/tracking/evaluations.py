"""What `evaluate` wrote of a model, logged to the MLflow run of its training."""

import json
from collections.abc import Iterator, Mapping

import mlflow
from mlflow import MlflowClient
from mlflow.entities import RunTag
from mlflow.utils.mlflow_tags import MLFLOW_LOGGED_ARTIFACTS

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


def log_evaluation(
    run_id: str, model_id: str, outputs: EvaluateOutputs, digests: Mapping[str, str]
) -> None:
    """Upload what `evaluate` wrote to a finished run, whose status and times stay as they are.

    `digests` maps each split that was evaluated to its md5; the metrics are tied to these datasets.
    The tag SHA256 is logged last.
    """
    client = MlflowClient()
    client.log_artifacts(run_id, str(outputs.folder))
    for split in EVALUATED:
        picture = mlflow.Image(str(outputs.matrix_picture(split)))
        client.log_image(run_id, picture, key=f"{split}_confusion_matrix", step=0)
    tables = dict(_tables(outputs))
    for path, text in tables.items():
        client.log_text(run_id, text, path)
    runs.log_datasets(run_id, digests)
    metrics = [
        runs.metric(
            key,
            value,
            model_id=model_id,
            dataset_name=split if split in digests else None,
            dataset_digest=digests.get(split),
        )
        for split, of_split in _evaluation_metrics(outputs).items()
        for key, value in of_split.items()
    ]
    logged = json.dumps([{"path": path, "type": "table"} for path in tables])
    tags = [RunTag(MLFLOW_LOGGED_ARTIFACTS, logged), RunTag(SHA256, sha256(outputs))]
    client.log_batch(run_id, metrics, tags=tags)


def _tables(outputs: EvaluateOutputs) -> Iterator[tuple[str, str]]:
    """Path and text of each split's statistics by class, as MLflow shows tables.

    MLflow's own function would append to a table that is there already.
    """
    from digits.evaluation.caret import Statistics, as_tables

    for split, written in outputs.read_statistics().items():
        by_class = as_tables(Statistics(**written)).by_class.T.rename_axis("class").reset_index()
        yield f"{split}/by_class.json", by_class.to_json(orient="split", index=False)


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
        metrics[split] |= {f"{split}_coverage_asked": confidence["asked"]}
        metrics[split] |= {f"{split}_{name}": sets[key] for name, key in ANSWER_SETS.items()}
    test = metrics["test"]
    # MLflow's bars show two decimals
    test["test_accuracy_percent"] = 100 * test["test_accuracy"]
    test |= {f"behaviour_{name}": value for name, value in outputs.read_behaviour().items()}
    return metrics
