"""The model that a run logs: the ONNX file of its training, as one of MLflow's models."""

from pathlib import Path
from shutil import copyfile

import mlflow
import numpy as np
from mlflow import MlflowClient
from mlflow.entities import LoggedModel, LoggedModelOutput, LoggedModelStatus, Run
from mlflow.models import Model, ModelSignature
from mlflow.types import Schema, TensorSpec

from digits.core.artifacts import TrainOutputs
from digits.core.dataset import Images
from digits.core.files import folder_sha256, scratch

MODEL_SHA256 = "model_sha256"  # tag of a run and of a registered version

_NAME = "model"
_ONNX, _EXTRA, _EXAMPLE = "model.onnx", "extra", "example.npy"


def copy_files(outputs: TrainOutputs, example: Images, folder: Path) -> None:
    """Copy what `log` needs of a training, and one image as an example, to a new folder."""
    (folder / _EXTRA).mkdir(parents=True)
    copyfile(outputs.model, folder / _ONNX)
    for path in (outputs.keras, outputs.calibration):
        copyfile(path, folder / _EXTRA / path.name)
    np.save(folder / _EXAMPLE, example, allow_pickle=False)


def log(run_id: str, folder: Path) -> None:
    """Log the files that `copy_files` wrote as the model of a run, unless it has that model.

    The Keras model and the calibration lie beside the ONNX model in `extra_files`. The SHA-256 of
    all files becomes a tag of the run: the store keeps tags in its database, not beside the files.

    Raises:
        DataError: the ONNX file is no classifier of images.
    """
    client = MlflowClient()
    run = client.get_run(run_id)
    model = _begun(client, run) or mlflow.initialize_logged_model(
        name=_NAME,
        source_run_id=run_id,
        experiment_id=run.info.experiment_id,
        params=run.data.params,
    )
    if model.status == LoggedModelStatus.READY:
        return
    model_id = model.model_id
    with scratch() as temporary:
        _save(folder, temporary / "saved", run, model)
        client.log_model_artifacts(model_id, str(temporary / "saved"))
        stored = mlflow.artifacts.download_artifacts(
            f"models:/{model_id}", dst_path=str(temporary / "stored")
        )
        client.set_tag(run_id, MODEL_SHA256, files_sha256(Path(stored)))
    if of_run(run_id) != model_id:
        client.log_outputs(run_id, [LoggedModelOutput(model_id, step=0)])
    client.finalize_logged_model(model_id, LoggedModelStatus.READY)


def of_run(run_id: str) -> str:
    """The id of the last model that a run logged; empty if there is none yet."""
    outputs = MlflowClient().get_run(run_id).outputs
    return outputs.model_outputs[-1].model_id if outputs and outputs.model_outputs else ""


def files_sha256(folder: Path) -> str:
    """The SHA-256 of all files of an MLflow model; see `files.folder_sha256`.

    Leaves out `registered_model_meta`, which MLflow adds when it downloads or serves a model.
    """
    return folder_sha256(folder, leave_out=("registered_model_meta",))


def _begun(client: MlflowClient, run: Run) -> LoggedModel | None:
    """The model that an interrupted call has begun to log."""
    condition = f"source_run_id = '{run.info.run_id}' AND name = '{_NAME}'"
    found = client.search_logged_models([run.info.experiment_id], condition, max_results=1)
    return next(iter(found), None)


def _save(folder: Path, path: Path, run: Run, model: LoggedModel) -> None:
    import onnx
    import onnxruntime

    from digits.training import inference

    network = inference.load(folder / _ONNX, threads=1)
    images = TensorSpec(np.dtype("uint8"), (-1, *network.shape), inference.IMAGES)
    answers = TensorSpec(np.dtype("float32"), (-1, network.classes), inference.PROBABILITIES)
    mlflow.onnx.save_model(
        onnx.load(folder / _ONNX),
        str(path),
        mlflow_model=Model(
            artifact_path=model.artifact_location,
            model_uuid=model.model_id,
            run_id=run.info.run_id,
            model_id=model.model_id,
        ),
        signature=ModelSignature(Schema([images]), Schema([answers])),
        input_example=np.load(folder / _EXAMPLE, allow_pickle=False),
        # inferring them would take MLflow up to 26 s
        pip_requirements=[
            f"{module.__name__}=={module.__version__}" for module in (onnxruntime, onnx, np)
        ],
        onnx_execution_providers=["CPUExecutionProvider"],
        # one per request: MLflow answers several at once
        onnx_session_options={"intra_op_num_threads": 1},
        save_as_external_data=False,
        extra_files=[str(each) for each in sorted((folder / _EXTRA).iterdir())],
    )
