"""`train@<model>`: fit one model on the training split, live in MLflow."""

from contextlib import nullcontext
from functools import partial
from time import perf_counter
from typing import TYPE_CHECKING, Any

from digits.artifacts import LAYOUT, TrainOutputs, split_path, split_tags
from digits.models import builder, module, own_recipe
from digits.params import Params
from digits.params import load as load_params
from digits.project import as_project
from digits.toolkit import process
from digits.toolkit.dataset import Dataset
from digits.toolkit.files import md5, write_json
from digits.toolkit.outputs import RunRecord
from digits.toolkit.params_yaml import PATH
from digits.toolkit.pipeline import provenance
from digits.training.temperature import truth_probabilities

if TYPE_CHECKING:
    from digits.toolkit.tracking.live import LiveRun
    from digits.training import fit as keras_model
    from digits.training import onnx_model

    Trained = keras_model.Trained | onnx_model.Trained

FITTED_ON = ("train", "validation")


def main(model: str) -> dict[str, float]:
    """Write artifacts/train/<model>/; returns when each part ended, in s of `perf_counter`.

    Without model.keras if the model is another framework's: then it is `train_onnx@<model>`.
    """
    params = load_params()
    keras = not own_recipe(model)
    stage = f"train@{model}" if keras else f"train_onnx@{model}"
    data, validation = (
        LAYOUT.read_split(name, classes=params.data.classes).data for name in FITTED_ON
    )
    marks = {"data": perf_counter()}
    with process.quiet_tensorflow(params.train.threads) if keras else nullcontext():
        import mlflow

        from digits.toolkit.tracking import live, logged_model, runs, store

    marks["imports"] = perf_counter()
    datasets = {name: md5(split_path(name)) for name in FITTED_ON}
    tags = {"model": model} | split_tags(datasets)
    if keras:
        from digits.training import devices

        recipe = params.recipe(model)
        device = devices.used(params.train.distribute, mixed=recipe.fit.mixed_precision)
        tags["device"] = device
    tags |= provenance.tags(stage=stage, split=split_path("train"))
    params_yaml = PATH.read_text(encoding="utf-8")
    logged = params.of_training(model) | {k: tags[k] for k in ("data_md5", "split_md5")}
    what = f"Training of `{model}` by the stage `{stage}` of `dvc repro`."
    project = as_project(params)
    with live.training_run(model, project, what=what, params=logged, tags=tags) as run:
        run.attempt(lambda: runs.log_text(params_yaml, runs.PARAMS_FILE))
        run.attempt(lambda: runs.log_datasets(run.run_id, datasets, split_path))
        marks["start run"] = perf_counter()
        trained = fit(params, model, data, validation, run)
        outputs = TrainOutputs(model)
        outputs.run.unlink(missing_ok=True)  # it vouches for the other outputs
        temperature = write(outputs, model, trained, validation, threads=params.train.threads)
        cost = trained.timing | {"temperature": temperature}
        marks |= {**trained.marks, "export": perf_counter()}
        logged["parameters"] = trained.parameters
        run.log_rest()
        log = partial(logged_model.log, run.run_id, outputs, project, example=validation.images[:1])
        model_id = run.attempt(partial(log, metrics=cost))
        run.attempt(lambda: mlflow.log_param("parameters", trained.parameters))
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
        write_json(outputs.metrics, {**cost, "parameters": trained.parameters})
        write_json(outputs.run, record.model_dump())
    return marks | {"log model": perf_counter()}


def fit(
    params: Params, model: str, data: Dataset, validation: Dataset, run: "LiveRun"
) -> "Trained":
    recipe, keras = params.recipe(model), not own_recipe(model)
    of = f"/{recipe.fit.epochs}" if keras else ""

    def on_epoch(epoch: int, metrics: dict[str, float]) -> None:
        run.log_epoch(epoch, metrics)
        figures = f"loss {metrics['loss']:.4f}  val_accuracy {metrics['val_accuracy']:.4f}"
        print(f"{model} epoch {epoch + 1}{of}  {figures}", flush=True)

    settings: dict[str, Any] = {
        "recipe": recipe,
        "classes": params.data.classes,
        "seed": params.seed,
        "threads": params.train.threads,
        "on_epoch": on_epoch,
    }
    if not keras:
        from digits.training import onnx_model

        return onnx_model.train(module(model), data, validation, **settings)
    from digits.training import fit as training

    settings["distribute"] = params.train.distribute
    return training.train(builder(model), data, validation, **settings)


def write(
    outputs: TrainOutputs, model: str, trained: "Trained", validation: Dataset, *, threads: int
) -> float:
    """Calibrate and write the model; of Keras, prove that both formats answer alike.

    Returns its temperature.
    """
    outputs.write_history(trained.history)
    if own_recipe(model):
        from digits.training import onnx_model

        return onnx_model.write(outputs, module(model), trained.model, validation, threads=threads)
    from digits.training import export

    calibrated = export.calibrate(trained.model, validation)
    export.write_keras(calibrated.model, outputs.keras)
    export.write_onnx(calibrated.model, outputs.model)
    export.check_equal(outputs.model, calibrated.validation, validation, threads=threads)
    truth = truth_probabilities(calibrated.validation, validation.labels)
    outputs.write_calibration(calibrated.temperature, truth)
    return calibrated.temperature


if __name__ == "__main__":
    process.run_stage(main)
