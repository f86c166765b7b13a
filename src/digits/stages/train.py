"""`train@<model>`, or `train_onnx@<model>` if it is not Keras's: fit one model, live in MLflow."""

import json
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import digits
from digits.models import model_file
from digits.params import Params
from digits.params import load as load_params
from digits.project import as_project
from digits.training.recipe import Recipe
from imageproof.artifacts import WORKSPACE, split_tags
from imageproof.base.dataset import Dataset, Probabilities
from imageproof.base.files import md5, sha256, text_sha256, write_json
from imageproof.dvc import provenance
from imageproof.dvc.params_yaml import PATH
from imageproof.dvc.stage_command import run_stage
from imageproof.dvc.stage_inputs import check_inputs
from imageproof.keras.checkpoint import Checkpoint
from imageproof.keras.cost import TrainingCost
from imageproof.keras.temperature import truth_probabilities, write_calibrated
from imageproof.outputs import RunRecord
from imageproof.system import process

if TYPE_CHECKING:
    from imageproof.mlflow.live import LiveRun

FITTED_ON = ("train", "validation")


def main(model: str) -> None:
    """Write artifacts/train/<model>/."""
    params = load_params()
    recipe = params.recipe(model)
    keras = isinstance(recipe, Recipe)
    stage = f"{'train' if keras else 'train_onnx'}@{model}"
    data, validation = (
        WORKSPACE.read_split(name, classes=params.data.classes).data for name in FITTED_ON
    )
    with process.quiet_tensorflow(params.train.threads) if keras else nullcontext():
        import mlflow

        from imageproof.mlflow import live, logged_model, runs, store

        if keras:
            from imageproof.keras import devices
    datasets = {name: md5(WORKSPACE.split(name)) for name in FITTED_ON}
    tags = {"model": model} | split_tags(datasets)
    if keras:
        tags["device"] = devices.used(params.train.distribute, mixed=recipe.fit.mixed_precision)
    tags |= provenance.tags(stage=stage, split=WORKSPACE.split("train"))
    params_yaml = PATH.read_text(encoding="utf-8")
    logged = params.of_training(model) | {k: tags[k] for k in ("data_md5", "split_md5")}
    what = f"Training of `{model}` by the stage `{stage}` of `dvc repro`."
    project = as_project(params)
    decides = {**logged, **datasets, **provenance.environment(), "device": tags.get("device")}
    check_inputs()  # whose code names the checkpoint
    checkpoint = Checkpoint.acquire(checkpoint_path(decides)) if keras else Checkpoint()
    start = partial(live.training_run, model, project, what=what, params=logged, tags=tags)
    with start(resume=checkpoint.state.run_id) as run:
        run.log_missing(checkpoint.state.history)
        checkpoint.begin(run.run_id)
        run.attempt(lambda: runs.log_text(params_yaml, runs.PARAMS_FILE))
        run.attempt(lambda: runs.log_datasets(run.run_id, datasets, WORKSPACE.split))
        cost, write, parameters = fit(params, model, data, validation, run, checkpoint)
        timing = cost.timing(images=len(data), threads=params.train.threads)
        outputs = WORKSPACE.trained(model)
        outputs.run.unlink(missing_ok=True)  # it vouches for the other outputs
        outputs.write_history(cost.history)
        temperature, answers = write(outputs, validation, threads=params.train.threads)
        outputs.write_calibration(temperature, truth_probabilities(answers, validation.labels))
        timing["temperature"] = temperature
        if keras and (recipe.fit.keep == "best" or recipe.fit.early_stopping):
            timing["kept_epoch"] = recipe.fit.kept_epoch(cost.history)
        logged["parameters"] = parameters
        run.log_rest()
        log = partial(logged_model.log, run.run_id, outputs, project, example=validation.images[:1])
        model_id = run.attempt(partial(log, metrics=timing))
        run.attempt(lambda: mlflow.log_param("parameters", parameters))
        record = RunRecord(
            run_id=run.run_id,
            model_id=model_id or "",
            experiment_id=run.experiment_id,
            tracking_uri=store.portable_uri(),
            name=model,
            params=logged,
            tags=tags,
            datasets=datasets,
            params_yaml=params_yaml,
        )
        write_json(outputs.metrics, {**timing, "parameters": parameters})
        check_inputs()  # an error ends the run as FAILED
        write_json(outputs.run, record.model_dump())
    checkpoint.remove()


def checkpoint_path(decides: Mapping[str, Any]) -> Path:
    """Where the state of a training lies that these values and our code determine."""
    code = [sha256(path) for path in sorted(Path(digits.__file__).parent.rglob("*.py"))]
    key = text_sha256(json.dumps([decides, code], sort_keys=True))
    return process.project_root() / ".state/trainings" / f"{key[:32]}.npz"


def fit(
    params: Params,
    model: str,
    data: Dataset,
    validation: Dataset,
    run: "LiveRun",
    checkpoint: Checkpoint,
) -> tuple[TrainingCost, Callable[..., tuple[float, Probabilities]], int]:
    """What the fit cost, a function that calibrates and writes the model, its number of weights."""
    file, recipe = model_file(model), params.recipe(model)
    of = f"/{recipe.epochs}" if isinstance(recipe, Recipe) else ""

    def on_epoch(epoch: int, metrics: dict[str, float]) -> None:
        run.log_epoch(epoch, metrics)
        figures = f"loss {metrics['loss']:.4f}  val_accuracy {metrics['val_accuracy']:.4f}"
        print(f"{model} epoch {epoch + 1}{of}  {figures}", flush=True)

    cost = TrainingCost(on_epoch)
    given = recipe, data, validation
    settings = params.common_settings()
    if isinstance(recipe, Recipe):
        from digits.training import keras_model

        if epochs := len(checkpoint.state.history):
            print(f"{model} goes on after epoch {epochs}{of}", flush=True)
        training = keras_model.Training(file, *given, **settings)
        fitted = training.run(cost, checkpoint)
        return cost, partial(keras_model.write, fitted), int(fitted.count_params())
    settings["threads"] = params.train.threads
    fitted, parameters = file.fit(*given, on_epoch=cost, **settings)
    network = partial(file.network, fitted, data.images.shape[1:])
    return cost, partial(write_calibrated, network), int(parameters)


if __name__ == "__main__":
    run_stage(main)
