"""What is to be logged to a run at once, and how the store gets it.

To log a record twice is to log it once.
"""

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from mlflow import MlflowClient
from mlflow.entities import Dataset, DatasetInput, InputTag, Metric, Param, RunTag
from mlflow.utils.mlflow_tags import MLFLOW_DATASET_CONTEXT

from digits.core.artifacts import split_path
from digits.tracking import logged_model

ARTIFACTS, MODEL = "artifacts", "model"  # folders of files
OWN = ""  # id of the model that the run itself logs


@dataclass
class Record:
    """What is to be logged to a run, apart from files.

    `datasets`: md5 of each split. `model_id`: of the model that the metrics belong to; OWN is the
    run's, None is none. `ended`: status and time in ms since 1970.
    """

    run_id: str
    params: dict[str, Any] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)
    metrics: list[dict[str, Any]] = field(default_factory=list)
    datasets: dict[str, str] = field(default_factory=dict)
    model_id: str | None = None
    ended: tuple[str, int] | None = None

    def with_metrics(
        self, metrics: Mapping[str, float], *, step: int = 0, split: str | None = None
    ) -> Self:
        """Add metrics of now; those of a `split` of `datasets` are tied to it."""
        now, digest = now_ms(), self.datasets.get(split or "")
        for key, value in metrics.items():
            metric = Metric(
                key, float(value), now, step, dataset_name=digest and split, dataset_digest=digest
            )
            self.metrics.append(metric.to_dictionary())
        return self

    def send(self, files: Path) -> None:
        """Log it to the store, with the files of this folder.

        Those in its `artifacts` become artifacts of the run, those in its `model` the run's model.
        """
        client, run_id = MlflowClient(), self.run_id
        if (files / MODEL).is_dir():
            logged_model.log(run_id, files / MODEL)
        if (files / ARTIFACTS).is_dir():
            client.log_artifacts(run_id, str(files / ARTIFACTS))
        if self.datasets:
            client.log_inputs(run_id, [_input(*each) for each in self.datasets.items()])
        model_id = logged_model.of_run(run_id) if self.model_id == OWN else self.model_id
        metrics = [Metric(**{**each, "model_id": model_id}) for each in self.metrics]
        params = [Param(key, str(value)) for key, value in self.params.items()]
        tags = [RunTag(*each) for each in self.tags.items()]
        client.log_batch(run_id, metrics, params, tags)
        if self.ended:
            client.set_terminated(run_id, *self.ended)


def now_ms() -> int:
    """Milliseconds since 1970, as MLflow counts."""
    return time.time_ns() // 1_000_000


def _input(split: str, digest: str) -> DatasetInput:
    source = json.dumps({"uri": str(split_path(split))})
    dataset = Dataset(split, digest, "local", source)
    return DatasetInput(dataset, [InputTag(MLFLOW_DATASET_CONTEXT, split)])
