"""The model that a run logs: the ONNX file of its training, as one of MLflow's models."""

from pathlib import Path
from typing import Any
from zipfile import is_zipfile

import mlflow
import numpy as np
from mlflow import MlflowClient
from mlflow.entities import LoggedModel, LoggedModelOutput, LoggedModelStatus
from mlflow.models import Model, ModelSignature
from mlflow.types import Schema, TensorSpec

from imageproof.base import _inference
from imageproof.base._class_names import class_names
from imageproof.base._dataset import Images
from imageproof.base.files import folder_sha256, scratch
from imageproof.mlflow import _runs
from imageproof.outputs import TrainOutputs, read_calibration
from imageproof.project import Project

MODEL_SHA256 = "model_sha256"  # tag of a run and of a registered version


def log(
    run_id: str,
    outputs: TrainOutputs,
    project: Project,
    *,
    example: Images,
) -> str:
    """Log the ONNX model of a training as the model of a run, and what it cost; return its id.

    The SHA-256 of all files becomes a tag of the run: tags are not stored beside the files.
    `example` is one image, uint8 (1, height, width) or (1, height, width, 3).
    """
    client = MlflowClient()
    run = client.get_run(run_id)
    model = mlflow.initialize_logged_model(
        run.data.params.get("model", "model"),
        run_id,
        experiment_id=run.info.experiment_id,
        model_type="classifier",
        params=run.data.params,
    )
    with scratch() as temporary:
        folder = temporary / "model"
        _save(folder, outputs, project, example, model)
        client.log_model_artifacts(model.model_id, str(folder))
        client.set_tag(run_id, _runs.tag(MODEL_SHA256), files_sha256(folder))
    client.log_outputs(run_id, [LoggedModelOutput(model.model_id, step=0)])
    client.finalize_logged_model(model.model_id, LoggedModelStatus.READY)
    metrics = outputs.read_metrics()
    del metrics["parameters"]  # a param
    mlflow.log_metrics(metrics, run_id=run_id, model_id=model.model_id)
    return str(model.model_id)


def files_sha256(folder: Path) -> str:
    """The SHA-256 of all files of an MLflow model, but for one that MLflow adds to downloads."""
    return folder_sha256(folder, leave_out=("registered_model_meta",))


def _save(
    folder: Path,
    outputs: TrainOutputs,
    project: Project,
    example: Images,
    model: LoggedModel,
) -> None:
    import onnx
    import onnxruntime

    network = _inference.load(outputs.model, threads=1)
    images = TensorSpec(np.dtype("uint8"), (-1, *network.shape), _inference.IMAGES)
    answers = TensorSpec(np.dtype("float32"), (-1, network.classes), _inference.PROBABILITIES)
    names = class_names(network.classes, project.class_names)
    metadata = {
        "class_names": names,
        "fit": project.data.image.fit,
        "temperature": read_calibration(outputs.calibration).temperature,
    }
    classes = TensorSpec(np.dtype("str"), (-1,), _inference.CLASS)
    extra_files = [str(outputs.calibration)]
    if is_zipfile(outputs.keras):  # else the model is not of Keras
        extra_files.append(str(outputs.keras))
    mlflow.onnx.save_model(
        _naming(onnx.load(outputs.model), names),
        str(folder),
        mlflow_model=Model(
            model.artifact_location,
            model.source_run_id,
            metadata=metadata,
            model_uuid=model.model_id,
            model_id=model.model_id,
        ),
        signature=ModelSignature(Schema([images]), Schema([answers, classes])),
        input_example=example,
        # inferring them would take MLflow up to 26 s
        pip_requirements=[f"{lib.__name__}=={lib.__version__}" for lib in (onnxruntime, onnx, np)],
        onnx_execution_providers=["CPUExecutionProvider"],
        # one per request: MLflow answers several at once
        onnx_session_options={"intra_op_num_threads": 1},
        save_as_external_data=False,
        extra_files=extra_files,
    )


def _naming(model: Any, names: list[str]) -> Any:
    """The ONNX model with one more output: the name of the most probable class of each image."""
    from onnx import TensorProto, compose, helper

    graph = model.graph
    tensors = ("best_class", "class_names", _inference.CLASS)
    kinds = ("edges", "inputs", "outputs", "initializers", "value_infos")
    # tensors of the training that have these names
    compose.add_prefix_graph(
        graph,
        "own_",
        inplace=True,
        name_map={tensor: f"own_{tensor}" for tensor in tensors},
        **{f"rename_{kind}": False for kind in kinds},
    )
    best, all_names, best_name = tensors
    [answers] = [output for output in graph.output if output.name == _inference.PROBABILITIES]
    del graph.output[:]
    classes = helper.make_tensor_value_info(best_name, TensorProto.STRING, ["n"])
    graph.output.extend([answers, classes])
    argmax = helper.make_node("ArgMax", [_inference.PROBABILITIES], [best], axis=1, keepdims=0)
    constant = helper.make_node("Constant", [], [all_names], value_strings=names)
    gather = helper.make_node("Gather", [all_names, best], [best_name])
    graph.node.extend([argmax, constant, gather])
    return model
