"""The `sweep` flow: Optuna searches settings; each trial is a training in a process of its own."""

import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import cloudpickle  # type: ignore[import-untyped]
import optuna
from prefect import flow
from prefect.client.schemas.objects import State
from prefect.states import Completed
from pydantic import PositiveInt
from sqlalchemy.exc import SQLAlchemyError

import own_code as own_code
from digits import params
from digits.project import as_project
from digits.stages.train import fit
from digits.training import trainer
from digits.training.recipe import Recipe
from imageproof.artifacts import WORKSPACE
from imageproof.base import errors, files
from imageproof.dvc import params_yaml, run_tags, stage_command
from imageproof.keras import checkpoints
from imageproof.mlflow import live
from imageproof.prefect import lifecycle
from imageproof.prefect import trials as running

cloudpickle.register_pickle_by_value(sys.modules[__name__])  # which Dask's workers lack


@flow(name="sweep")
@lifecycle.in_project
def sweep(
    model: str,
    space: str,
    trials: PositiveInt = 20,
    scheduler: str = "",
    storage: str = "",
) -> State:
    """Search the settings of a model that give the best validation accuracy.

    Args:
        model: The model whose settings are searched.
        space: A YAML file: which keys of `train.<model>` vary, and in which range.
        trials: How many to add; a study of equal code, data, params and space keeps those it has.
        scheduler: Address of a Dask scheduler whose workers run in clones of this project.
        storage: Optuna's database URL, which all trials reach; default: SQLite in this folder.
    """
    from train import train  # here, because Dask gets this module, and its workers lack that one

    settings = {"model": model, "space": files.read_yaml(Path(space)), "params": params_yaml.read()}
    # fails on a wrong model, which the space would call a wrong key
    params.check(settings["params"]).recipe(model)
    project = as_project(_params(optuna.create_study().ask(), settings))  # fails on a wrong key
    storage = storage or running.local_storage()
    _check_storage(storage)
    train(targets=["split"])
    # the accuracies of a study have code, data, params and space in common
    settings["inputs"] = running.hash_inputs(model)
    name = f"{project.name}/{model}-{files.text_sha256(repr(settings))[:8]}"
    settings["study"] = {"study_name": name, "storage": storage}
    study = optuna.create_study(**settings["study"], load_if_exists=True, direction="maximize")
    message = running.run_trials(
        "flows/sweep.py", project, study, settings, times=trials, scheduler=scheduler
    )
    return Completed(message=message)


def _check_storage(storage: str) -> None:
    """Raise a UsageError if Optuna cannot use the database at this URL."""
    try:
        optuna.storages.get_storage(storage)
    except (ImportError, ValueError, SQLAlchemyError) as error:
        hint = "a database's URL is allowed, such as postgresql://USER@HOST/NAME"
        raise errors.UsageError(f"storage: {str(error).splitlines()[0]}; {hint}") from None


def _params(trial: optuna.Trial, settings: dict[str, Any]) -> params.Params:
    """params.yaml with values that Optuna proposes, from ranges and lists of choices."""
    block = f"train.{settings['model']}"
    return params.check(running.propose(trial, settings["space"], settings["params"], block))


def _run_trial() -> None:
    """Train with the next settings of the study, and tell it the accuracy."""
    settings = running.settings_of_trial()
    sampler = optuna.samplers.TPESampler(constant_liar=True)  # so that parallel trials differ
    study = optuna.load_study(**settings["study"], sampler=sampler)

    def train_trial(trial: optuna.Trial) -> float:
        trial.set_user_attr(running.SWEEP, settings[running.SWEEP])
        try:
            return _train(trial, settings)
        except SystemExit:  # of a signal; the sampler avoids settings of trials that still run
            study.tell(trial, state=optuna.trial.TrialState.FAIL)
            raise

    study.optimize(train_trial, n_trials=1)


def _train(trial: optuna.Trial, settings: dict[str, Any]) -> float:
    """The validation accuracy of a training, which is a run of MLflow."""
    model = settings["model"]
    running.check_inputs(model, settings["inputs"])
    data, validation = WORKSPACE.read_fitted()
    checked = _params(trial, settings)
    project = as_project(checked)
    trainer.load_framework(checked, model)
    tags = run_tags.tags(stage=f"sweep@{model}", split=WORKSPACE.split("train"))
    with live.training_run(
        f"trial {trial.number}",
        replace(project, name=project.part("sweeps")),
        params=checked.logged_params(model),
        tags={"model": model, **tags},
    ) as run:
        fitted = fit(checked, model, data, validation, run.log_epoch, checkpoints.Checkpoint())
    history = fitted.cost.history
    recipe = checked.recipe(model)
    kept = recipe.fit.kept_epoch(history) if isinstance(recipe, Recipe) else len(history)
    return float(history[kept - 1]["val_accuracy"])


if __name__ == "__main__":
    if running.settings_of_trial():
        stage_command.run_stage(_run_trial)
    lifecycle.run_as_program(sweep)
