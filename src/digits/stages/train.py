"""`train@<model>`: fit one model, live in MLflow."""

import json
from math import ceil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

import digits
from digits.params import Params
from digits.params import load as load_params
from digits.project import as_project
from digits.training import trainer
from digits.training.recipe import Recipe
from digits.training.trainer import Fitted
from imageproof.artifacts import WORKSPACE, split_tags
from imageproof.base.dataset import Dataset
from imageproof.base.files import md5, sha256, text_sha256
from imageproof.base.naming import project_name
from imageproof.dvc import provenance
from imageproof.dvc.stage_command import run_stage
from imageproof.dvc.stage_inputs import check_inputs
from imageproof.features.predict import cached_predict
from imageproof.keras.checkpoint import Checkpoint
from imageproof.keras.cost import MIN_STEPS
from imageproof.keras.temperature import truth_probabilities
from imageproof.outputs import TRAIN_SAMPLE, Metrics
from imageproof.system import process

if TYPE_CHECKING:
    from imageproof.mlflow.live import LiveRun

FITTED_ON = ("train", "validation")


def main(model: str) -> None:
    """Write artifacts/train/<model>/."""
    params = load_params()
    splits = [WORKSPACE.read_split(name, classes=params.data.classes) for name in FITTED_ON]
    data, validation = (split.data for split in splits)
    device = trainer.load_framework(params, model)
    from imageproof.mlflow import live  # after TensorFlow, whose lines are hidden

    datasets = {name: md5(WORKSPACE.split(name)) for name in FITTED_ON}
    tags = describe(model, datasets, device)
    logged = params.logged_params(model)
    logged |= {name: tags[name] for name in ("data_md5", "split_md5")}
    check_inputs()  # whose code names the checkpoint
    decides = {**logged, **datasets, **provenance.environment(), "device": device}
    checkpoint = Checkpoint.acquire(checkpoint_path(decides)) if device else Checkpoint()
    with live.training_run(
        model,
        as_project(params),
        params=logged,
        tags=tags,
        resume=checkpoint.state.run_id,
    ) as run:
        run.backfill(checkpoint.state.history)
        checkpoint.begin(run.run_id)
        run.log_inputs(datasets)
        fitted = fit(params, model, data, validation, run, checkpoint)
        cost = write(params, model, fitted, data, validation)
        run.record(WORKSPACE.trained(model), cost, example=validation.images[:1])
    checkpoint.remove()


def describe(model: str, datasets: dict[str, str], device: str) -> dict[str, str]:
    """The tags of the run."""
    tags = {"model": model} | split_tags(datasets)
    if device:
        tags["device"] = device
    return tags | provenance.tags(stage=f"train@{model}", split=WORKSPACE.split("train"))


def checkpoint_path(decides: dict[str, Any]) -> Path:
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
) -> Fitted:
    """Fit the model; print each epoch, and log it to the run."""
    recipe = params.recipe(model)
    of_all = f"/{recipe.epochs}" if isinstance(recipe, Recipe) else ""

    def on_epoch(epoch: int, metrics: Metrics) -> None:
        run.log_epoch(epoch, metrics)
        figures = f"loss {metrics['loss']:.4f}  val_accuracy {metrics['val_accuracy']:.4f}"
        print(f"{model} epoch {epoch + 1}{of_all}  {figures}", flush=True)

    if isinstance(recipe, Recipe):
        print_steps(model, recipe, rows=len(data))
    if epochs := len(checkpoint.state.history):
        print(f"{model} goes on after epoch {epochs}{of_all}", flush=True)
    return trainer.fit(params, model, data, validation, on_epoch=on_epoch, checkpoint=checkpoint)


def print_steps(model: str, recipe: Recipe, *, rows: int) -> None:
    """Print how many steps a training has; a warning if they are few."""
    steps = ceil(rows / recipe.fit.batch_size)
    total = steps * recipe.epochs
    print(f"{model}: {steps:,} steps an epoch, {total:,} in all", flush=True)
    if total < MIN_STEPS:
        cure = f"lower train.{model}.fit.batch_size, or raise train.{model}.fit.epochs"
        hint = f"`{project_name()} adapt` says how far"
        print(f"warning: {model}: {total:,} steps teach little; {cure} ({hint})")


def train_accuracy(path: Path, data: Dataset, *, seed: int, threads: int) -> float:
    """The accuracy 0…1 of a finished model on its own training rows, or TRAIN_SAMPLE of them."""
    rows = np.random.default_rng(seed).permutation(len(data))[:TRAIN_SAMPLE]
    sample = data.take(np.sort(rows))
    probabilities = cached_predict(path, threads=threads)(sample.images)
    return float((probabilities.argmax(axis=1) == sample.labels).mean())


def write(
    params: Params, model: str, fitted: Fitted, data: Dataset, validation: Dataset
) -> Metrics:
    """Write the model, its calibration and its learning curves; what it cost."""
    threads = params.train.threads
    history = fitted.cost.history
    figures = fitted.cost.timing(images=len(data), threads=threads)
    outputs = WORKSPACE.trained(model)
    outputs.run.unlink(missing_ok=True)  # it vouches for the other outputs
    outputs.write_history(history)
    temperature, answers = fitted.write(outputs, validation, threads=threads)
    outputs.write_calibration(temperature, truth_probabilities(answers, validation.labels))
    accuracy = train_accuracy(outputs.model, data, seed=params.seed, threads=threads)
    recipe = params.recipe(model)
    if not isinstance(recipe, Recipe):
        outputs.keras.write_bytes(b"")  # DVC wants all outputs of a stage
    if isinstance(recipe, Recipe) and (recipe.fit.keep == "best" or recipe.fit.early_stopping):
        figures["kept_epoch"] = recipe.fit.kept_epoch(history)
    figures |= {"temperature": temperature, "train_accuracy": accuracy}
    return figures | {"parameters": fitted.parameters}


if __name__ == "__main__":
    run_stage(main)
