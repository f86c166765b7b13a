"""`train@<model>`: fit one model, live in MLflow."""

from collections.abc import Callable
from pathlib import Path

import numpy as np

import digits
from digits.params import Params
from digits.params import load as load_params
from digits.project import as_project
from digits.training import trainer
from digits.training.recipe import Recipe
from digits.training.trainer import Fitted
from imageproof.artifacts import WORKSPACE
from imageproof.base import Dataset, Metrics
from imageproof.dvc import stage_command
from imageproof.features import predict
from imageproof.keras import checkpoints, progress


def main(model: str) -> None:
    """Write artifacts/train/<model>/."""
    params = load_params()
    data, validation = WORKSPACE.read_fitted(params.data.classes)
    device = trainer.load_framework(params, model)
    from imageproof.mlflow import training  # after TensorFlow, whose lines are hidden

    with training.resumable_run(
        model,
        as_project(params),
        params.logged_params(model),
        device=device,
        code=Path(digits.__file__).parent,
    ) as (run, checkpoint):
        fitted = fit(params, model, data, validation, run.log_epoch, checkpoint)
        cost = write(params, model, fitted, data, validation)
        run.record(WORKSPACE.trained(model), cost, example=validation.images[:1])


def fit(
    params: Params,
    model: str,
    data: Dataset,
    validation: Dataset,
    log_epoch: Callable[[int, Metrics], None],
    checkpoint: checkpoints.Checkpoint,
) -> Fitted:
    """Fit the model; print each epoch, and log it."""
    recipe = params.recipe(model)
    epochs = None
    if isinstance(recipe, Recipe):
        epochs = recipe.epochs
        done = len(checkpoint.state.history)
        batch_size = recipe.fit.batch_size
        progress.print_steps(model, rows=len(data), batch_size=batch_size, epochs=epochs, done=done)
    on_epoch = progress.printing(model, log_epoch, epochs=epochs)
    return trainer.fit(params, model, data, validation, on_epoch=on_epoch, checkpoint=checkpoint)


def write(
    params: Params, model: str, fitted: Fitted, data: Dataset, validation: Dataset
) -> Metrics:
    """Write the model, its calibration and its learning curves; what it cost."""
    threads = params.train.threads
    history = fitted.cost.history
    figures = fitted.cost.timing(threads=threads)
    outputs = WORKSPACE.trained(model)
    outputs.run.unlink(missing_ok=True)  # it vouches for the other outputs
    outputs.write_history(history)
    figures["temperature"], probabilities = fitted.write(outputs, validation, threads=threads)
    outputs.check_answers(validation)
    truth = probabilities[np.arange(len(validation)), validation.labels]
    outputs.write_calibration(figures["temperature"], truth)
    recipe = params.recipe(model)
    if isinstance(recipe, Recipe) and (recipe.fit.keep == "best" or recipe.fit.early_stopping):
        figures["kept_epoch"] = recipe.fit.kept_epoch(history)
    accuracy = predict.sample_accuracy(outputs.model, data, seed=params.seed, threads=threads)
    return figures | {"train_accuracy": accuracy, "parameters": fitted.parameters}


if __name__ == "__main__":
    stage_command.run_stage(main)
