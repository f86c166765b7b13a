"""What `evaluate` wrote of a model, logged to the MLflow run of its training."""

from collections.abc import Mapping

import mlflow
from mlflow import MlflowClient

from digits.core.artifacts import EVALUATED, EvaluateOutputs, read_split_rows
from digits.tracking import runs, store


def log_evaluation(
    run_id: str, model_id: str, outputs: EvaluateOutputs, digests: Mapping[str, str]
) -> None:
    """Upload what `evaluate` wrote to a finished run, whose status and times stay as they are.

    `digests` maps each split that was evaluated to its md5; the metrics are tied to these datasets.
    The files lie at the top of the run's artifacts, where MLflow's compare page lists what two
    runs have in common; the image grid and the table by class are MLflow's own forms of them.
    """
    from digits.evaluation.caret import Statistics, as_tables

    client = MlflowClient()
    with store.service_errors():
        datasets = runs.log_datasets(run_id, digests)
        for split, metrics in _evaluation_metrics(outputs).items():
            mlflow.log_metrics(
                metrics, run_id=run_id, model_id=model_id, dataset=datasets.get(split)
            )
        client.log_artifacts(run_id, str(outputs.folder))
        for split, written in outputs.read_statistics().items():
            picture = mlflow.Image(str(outputs.matrix_picture(split)))
            client.log_image(run_id, picture, key=f"{split}_confusion_matrix", step=0)
            by_class = as_tables(Statistics(**written)).by_class.T.rename_axis("class")
            client.log_table(run_id, by_class.reset_index(), f"{split}/by_class.json")


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
