"""The `sweep` flow: Optuna searches settings; each trial is a training in a process of its own."""

import ast
import os
import shlex
import sys
from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from typing import Any

import cloudpickle  # type: ignore[import-untyped]
import mlflow
import optuna
from prefect import flow
from prefect.client.schemas.objects import State
from prefect.states import Completed
from pydantic import PositiveInt

from digits import params
from digits.project import as_project
from digits.stages.train import fit
from digits.training import trainer
from imageproof.artifacts import WORKSPACE
from imageproof.base.errors import IntegrityError
from imageproof.base.files import md5, read_yaml, text_sha256
from imageproof.base.machine import processors
from imageproof.dvc import provenance
from imageproof.dvc.params_yaml import read, set_keys
from imageproof.dvc.stage_command import run_stage
from imageproof.keras.checkpoint import Checkpoint
from imageproof.mlflow import live, runs, store
from imageproof.outputs import FITTED_ON
from imageproof.prefect.lifecycle import VERSION, in_project, run_as_program
from imageproof.prefect.stages import run_script
from imageproof.system import process

SETTINGS = "DIGITS_TRIAL"  # environment variable: what a trial needs to know
cloudpickle.register_pickle_by_value(sys.modules[__name__])  # which Dask's workers lack


@flow(name="sweep", version=VERSION)
@in_project
def sweep(
    model: str,
    space: str,
    trials: PositiveInt = 20,
    scheduler: str = "",
    storage: str = "",
) -> State:
    """Search the settings of a Keras model that give the best validation accuracy.

    Args:
        model: Whose settings are searched.
        space: A YAML file: which keys of `train.<model>` vary, and in which range.
        trials: How many to run; a study of the same data, params and space gets this many more.
        scheduler: Address of a Dask scheduler whose workers run in clones of this project.
        storage: Optuna's database URL, which all trials reach; default: SQLite in this folder.
    """
    from train import train  # here, because Dask gets this module, and its workers lack that one

    settings = {"model": model, "space": read_yaml(Path(space)), "params": read()}
    project = as_project(_params(optuna.create_study().ask(), settings))  # fails on a wrong key
    train(targets=["split"])
    settings["splits"] = {name: md5(WORKSPACE.split(name)) for name in FITTED_ON}
    # the accuracies of a study have data, params and space in common
    name = f"{project.name}/{model}-{text_sha256(repr(settings))[:8]}"
    Path(".state").mkdir(exist_ok=True)
    storage = storage or f"sqlite:///{Path.cwd()}/.state/sweeps.db"
    settings["study"] = {"study_name": name, "storage": storage}
    study = optuna.create_study(**settings["study"], load_if_exists=True, direction="maximize")
    with runs.active_run(
        name,
        description="Search for better params, by the flow `sweep`; its child runs are its trials.",
        experiment=project.part("sweeps"),
        params={"model": model} | {f"space.{k}": str(v) for k, v in settings["space"].items()},
        tags={},
    ) as run:
        variables = {SETTINGS: repr(settings), process.PARENT_RUN: run.info.run_id}
        variables["MLFLOW_TRACKING_URI"] = store.tracking_uri()
        at_once = max(1, processors() // project.threads)
        run_script("flows/sweep.py", variables, times=trials, scheduler=scheduler, at_once=at_once)
        best = study.best_trial
        keys = [shlex.quote(f"++train.{model}.{key}={value}") for key, value in best.params.items()]
        message = f"trial {best.number}: val_accuracy {best.value:.4f}\n"
        message += f"dvc exp run -S {' -S '.join(keys)}"
        mlflow.log_text(f"{message}\n", "best.txt")
    return Completed(message=message)


def _params(trial: optuna.Trial, settings: dict[str, Any]) -> params.Params:
    """params.yaml with values that Optuna proposes, from ranges and lists of choices."""
    raw = deepcopy(settings["params"])
    for key, entry in settings["space"].items():
        if isinstance(entry, list):
            # as text, because Optuna stores neither lists nor mappings
            choices = {"null" if choice is None else str(choice): choice for choice in entry}
            value = choices[trial.suggest_categorical(key, [*choices])]
        else:
            kind = "int" if all(isinstance(n, int) for n in entry.values()) else "float"
            value = getattr(trial, f"suggest_{kind}")(key, **entry)
        set_keys(raw, {f"train.{settings['model']}.{key}": value})
    return params.check(raw)


def _run_trial() -> None:
    settings = ast.literal_eval(os.environ[SETTINGS])
    sampler = optuna.samplers.TPESampler(constant_liar=True)  # so that parallel trials differ
    study = optuna.load_study(**settings["study"], sampler=sampler)
    study.optimize(lambda trial: _train(trial, settings), n_trials=1)


def _train(trial: optuna.Trial, settings: dict[str, Any]) -> float:
    """The validation accuracy of a training, which is a run of MLflow."""
    if any(md5(WORKSPACE.split(name)) != digest for name, digest in settings["splits"].items()):
        raise IntegrityError("artifacts/split: is not that of the sweep; `dvc pull` brings it")
    data, validation = (WORKSPACE.read_split(name).data for name in FITTED_ON)
    model = settings["model"]
    checked = _params(trial, settings)
    project = as_project(checked)
    trainer.load_framework(checked, model)
    tags = provenance.tags(stage=f"sweep@{model}", split=WORKSPACE.split("train"))
    with live.training_run(
        f"trial {trial.number}",
        replace(project, name=project.part("sweeps")),
        params=checked.logged_params(model),
        tags={"model": model, **tags},
    ) as run:
        fitted = fit(checked, model, data, validation, run.log_epoch, Checkpoint())
    history = fitted.cost.history
    kept = checked.recipe(model).fit.kept_epoch(history)
    return float(history[kept]["val_accuracy"])


if __name__ == "__main__":
    if SETTINGS in os.environ:
        run_stage(_run_trial)
    run_as_program(lambda: sweep(*sys.argv[1:], return_state=True))
