"""From a version back to the bytes that made it."""

from ast import literal_eval
from dataclasses import dataclass
from typing import Any

from mlflow import MlflowClient
from mlflow.entities.model_registry import ModelVersion
from mlflow.exceptions import MlflowException

from digits.core.artifacts import SPLIT_TAGS
from digits.core.errors import IntegrityError
from digits.tracking.runs import MODEL_SHA256


@dataclass(frozen=True, slots=True)
class Origin:
    """What a version was made from: empty strings where the run recorded nothing.

    `splits` has the md5 of each split by its name. `params` are those of the training, as it
    logged them; `gate` holds the tags that the gate left on the version.
    """

    model: str
    version: str
    aliases: list[str]
    run_id: str
    experiment: str
    git_commit: str
    git_dirty: str
    data_md5: str
    splits: dict[str, str]
    lock_md5: str
    model_sha256: str
    cpu: str
    cpu_features: str
    flow_run: str
    dvc_exp: str
    params: dict[str, Any]
    gate: dict[str, str]


def origin(version: ModelVersion) -> Origin:
    """Where a version comes from.

    Raises:
        IntegrityError: its run is gone.
    """
    client, run_id = MlflowClient(), version.run_id or ""
    try:
        run = client.get_run(run_id)
    except MlflowException:
        raise IntegrityError(
            f"models:/{version.name}/{version.version}: its run {run_id} is gone"
        ) from None
    tags = run.data.tags
    return Origin(
        model=version.name,
        version=str(version.version),
        aliases=sorted(version.aliases),
        run_id=run_id,
        experiment=client.get_experiment(run.info.experiment_id).name,
        git_commit=tags.get("git_commit", ""),
        git_dirty=tags.get("git_dirty", ""),
        data_md5=tags.get("data_md5", ""),
        splits={split: tags[tag] for split, tag in SPLIT_TAGS.items() if tag in tags},
        lock_md5=tags.get("lock_md5", ""),
        model_sha256=version.tags.get(MODEL_SHA256) or tags.get(MODEL_SHA256, ""),
        cpu=tags.get("cpu", ""),
        cpu_features=tags.get("cpu_features", ""),
        flow_run=tags.get("prefect_flow_run_id", ""),
        dvc_exp=tags.get("dvc_exp", ""),
        params={key: _value(text) for key, text in sorted(run.data.params.items())},
        gate={key: text for key, text in sorted(version.tags.items()) if key.startswith("gate")},
    )


def _value(text: str) -> Any:
    """A param as it was before MLflow made it text."""
    try:
        return literal_eval(text)
    except (ValueError, SyntaxError, RecursionError, MemoryError):
        return text
