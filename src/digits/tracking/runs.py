"""MLflow runs: open and end them, log to them with the same names for every model, find them."""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import mlflow
import numpy as np
from mlflow import MlflowClient
from mlflow.entities import Dataset, DatasetInput, InputTag, Run, RunData
from mlflow.models import ModelSignature
from mlflow.types import Schema, TensorSpec
from mlflow.utils.mlflow_tags import MLFLOW_DATASET_CONTEXT

from digits.core.artifacts import TrainOutputs, split_path
from digits.core.colours import SERIES
from digits.core.dataset import Images
from digits.core.files import folder_sha256, scratch
from digits.core.process import has_ended, this_process
from digits.params import tracking
from digits.tracking import descriptions, store

if TYPE_CHECKING:
    from mlflow import ActiveRun


PARAMS_FILE = "params.yaml"
PROCESS_TAG = "process"
COLOUR_TAG = "mlflow.runColor"  # without it MLflow takes one of 29 colours, many of them alike
MODEL_SHA256 = "model_sha256"  # tag of a run and of a registered version


@contextmanager
def active_run(
    name: str,
    *,
    what: str = "",
    experiment: str | None = None,
    params: Mapping[str, Any],
    tags: Mapping[str, str],
    resume: str | None = None,
    system_metrics: bool = True,
) -> "Iterator[ActiveRun]":
    """An active MLflow run that ends FINISHED, FAILED on an error, or KILLED on a signal.

    Under `mlflow run` it is a child of the project's run. If the experiment has the run `resume`,
    this is that run again, with the params that it has.

    Args:
        what: What it is, in a sentence, for its description; default: it gets none.
        experiment: Its name; default: the project's.
        system_metrics: Log them in the project's experiment, if params.yaml says so.

    Raises:
        ServiceError: the tracking store does not answer.
    """
    experiment_id = store.connect(experiment)
    with store.service_errors():
        parent = store.parent_run()
        if parent:
            experiment_id = parent.info.experiment_id
        end_abandoned(experiment_id)
        known = resume and find(f"attributes.run_id = '{resume}'", experiment_id)
        resumed = resume if known else None
        measured = system_metrics and not experiment and tracking().system_metrics
        first = {} if resumed else {COLOUR_TAG: _free_colour(experiment_id)}
        if what and not resumed:
            first[descriptions.NOTE] = descriptions.of_run(what, tags.get("git_commit", ""))
        active = mlflow.start_run(
            run_id=resumed,
            run_name=name,
            experiment_id=experiment_id,
            parent_run_id=parent.info.run_id if parent else None,
            tags={**tags, PROCESS_TAG: this_process()} | first,
            log_system_metrics=measured or None,  # MLflow's own variable may ask for them too
        )
        status = "KILLED"
        try:
            if not resumed:
                mlflow.log_params(dict(params))
            yield active
            status = "FINISHED"
        except Exception:
            status = "FAILED"
            raise
        finally:
            mlflow.end_run(status)


def find(condition: str, *experiment_ids: str) -> list[Run]:
    """The active runs of these experiments that satisfy a filter of MLflow's, the oldest first."""
    oldest_first = ["attributes.start_time ASC"]
    return mlflow.search_runs(
        [*experiment_ids], condition, order_by=oldest_first, output_format="list"
    )


def _free_colour(experiment_id: str) -> str:
    """A colour that none of the experiment's last runs has: each model's curves have their own."""
    last = mlflow.search_runs(
        [experiment_id],
        max_results=len(SERIES) - 1,
        order_by=["attributes.start_time DESC"],
        output_format="list",
    )
    taken = {run.data.tags.get(COLOUR_TAG) for run in last}
    return next(colour for colour in SERIES if colour not in taken)


def end_abandoned(experiment_id: str) -> None:
    """End as KILLED the runs of this machine's processes that ended without doing so."""
    for each in find("attributes.status = 'RUNNING'", experiment_id):
        if has_ended(each.data.tags.get(PROCESS_TAG, "")):
            MlflowClient().set_terminated(each.info.run_id, "KILLED")


def finished_runs() -> list[RunData]:
    """The data of all finished runs of the experiment, the newest first.

    Restored runs are left out: they were trained elsewhere, and their times are not this machine's.
    """
    experiment_id = store.connect()
    with store.service_errors():
        finished = find("attributes.status = 'FINISHED'", experiment_id)[::-1]
    return [each.data for each in finished if "restored_from" not in each.data.tags]


def log_epoch(epoch: int, metrics: Mapping[str, float]) -> None:
    """Log the metrics of one epoch to the active run, with the epoch as step."""
    mlflow.log_metrics(dict(metrics), step=epoch)


def log_params_file(text: str) -> None:
    """Log the text of params.yaml as an artifact of the active run."""
    mlflow.log_text(text, PARAMS_FILE)


def params_file(run_id: str) -> str:
    """The params.yaml that a run logged; empty if it logged none."""
    logged = MlflowClient().list_artifacts(run_id)
    if PARAMS_FILE not in (artifact.path for artifact in logged):
        return ""
    return str(mlflow.artifacts.load_text(f"runs:/{run_id}/{PARAMS_FILE}"))


def log_datasets(run_id: str, digests: Mapping[str, str]) -> dict[str, Dataset]:
    """Log splits as input datasets of a run; `digests` maps each to its md5. Returns them."""
    datasets = {
        name: Dataset(name, digest, "local", json.dumps({"uri": str(split_path(name))}))
        for name, digest in digests.items()
    }
    inputs = [
        DatasetInput(dataset, [InputTag(MLFLOW_DATASET_CONTEXT, name)])
        for name, dataset in datasets.items()
    ]
    MlflowClient().log_inputs(run_id, inputs)
    return datasets


def log_parameters(count: int) -> dict[str, int]:
    """Log the number of weights as a param of the active run; returns the logged param."""
    mlflow.log_param("parameters", count)
    return {"parameters": count}


def log_model(outputs: TrainOutputs, *, example: Images, metrics: Mapping[str, float]) -> str:
    """Log the ONNX model of a training, and the cost of the training; return the model's id.

    The Keras model and the calibration lie beside it in `extra_files`. The SHA-256 of all files
    becomes a tag of the active run: the store keeps tags in its database, not beside the files.

    Args:
        example: One image, uint8 (1, height, width); MLflow asks the model with it, and shows how.

    Raises:
        DataError: the ONNX file is missing or no classifier of images.
    """
    import onnx
    import onnxruntime

    from digits.training import inference

    network = inference.load(outputs.model, threads=1)
    images = TensorSpec(np.dtype("uint8"), (-1, *network.shape), inference.IMAGES)
    answers = TensorSpec(np.dtype("float32"), (-1, network.classes), inference.PROBABILITIES)
    info = mlflow.onnx.log_model(
        onnx.load(outputs.model),
        name="model",
        signature=ModelSignature(Schema([images]), Schema([answers])),
        input_example=example,
        # inferring them would take MLflow up to 26 s
        pip_requirements=[
            f"{module.__name__}=={module.__version__}" for module in (onnxruntime, onnx, np)
        ],
        onnx_execution_providers=["CPUExecutionProvider"],
        # one per request: MLflow answers several at once
        onnx_session_options={"intra_op_num_threads": 1},
        save_as_external_data=False,
        extra_files=[str(outputs.keras), str(outputs.calibration)],
    )
    mlflow.log_metrics(dict(metrics), model_id=info.model_id)
    with scratch() as folder:
        sha256 = files_sha256(
            Path(mlflow.artifacts.download_artifacts(info.model_uri, dst_path=str(folder)))
        )
    mlflow.set_tag(MODEL_SHA256, sha256)
    return str(info.model_id)


def files_sha256(folder: Path) -> str:
    """The SHA-256 of all files of an MLflow model; see `files.folder_sha256`.

    Leaves out `registered_model_meta`, which MLflow adds when it downloads or serves a model.
    """
    return folder_sha256(folder, leave_out=("registered_model_meta",))


def log_metrics(metrics: Mapping[str, float]) -> None:
    """Log metrics to the active run, without a step."""
    mlflow.log_metrics(dict(metrics))


def log_files(files: Sequence[Path]) -> None:
    """Log local files as artifacts of the active run."""
    for file in files:
        mlflow.log_artifact(str(file))
