"""The trials of a search by Optuna, whose study and trials are arguments: each is a training."""

import ast
import os
import shlex
from collections.abc import Mapping
from copy import deepcopy
from pathlib import Path
from typing import Any

import mlflow
from mlflow import MlflowClient

from imageproof.base._machine import processors
from imageproof.base._naming import variable
from imageproof.base.errors import IntegrityError, UsageError
from imageproof.base.text import first_names
from imageproof.dvc import _stage_inputs
from imageproof.dvc.params_yaml import set_keys
from imageproof.mlflow import _runs, _store
from imageproof.prefect._stages import run_script
from imageproof.project import Project
from imageproof.system import _process

SWEEP = "sweep"  # in the settings, and of a trial in Optuna: the run that is the parent of all


def propose(
    trial: Any,
    space: Mapping[str, Any],
    params: dict[str, Any],
    block: str,
) -> Any:
    """The values of params.yaml with those that the trial proposes in a block.

    `space` has a list of choices, or a range as Optuna's `suggest_int` and `suggest_float` take it,
    for each key that varies.
    """
    values = deepcopy(params)
    key = "space"
    try:
        for key, entry in space.items():
            if isinstance(entry, list):
                # as text, because Optuna stores neither lists nor mappings
                choices = {"null" if choice is None else str(choice): choice for choice in entry}
                value = choices[trial.suggest_categorical(key, [*choices])]
            else:
                kind = "int" if all(isinstance(n, int) for n in entry.values()) else "float"
                value = getattr(trial, f"suggest_{kind}")(key, **entry)
            set_keys(values, {f"{block}.{key}": value})
    except (AttributeError, TypeError, ValueError) as error:
        hint = "a key of the space needs a list of choices, or a range: {low: 16, high: 64}"
        raise UsageError(f"{key}: {error}; {hint}") from None
    return values


def local_storage() -> str:
    """The URL of the database of studies in the project's folder."""
    folder = Path.cwd() / ".state"
    folder.mkdir(exist_ok=True)
    return f"sqlite:///{folder}/sweeps.db"


def hash_inputs(model: str) -> dict[str, str]:
    """A hash of each file and folder, code and data, that the training of a model depends on."""
    return _stage_inputs.hash_deps(f"train@{model}")


def check_inputs(model: str, digests: Mapping[str, str]) -> None:
    """Raise an IntegrityError if they are not those of the sweep."""
    differing = hash_inputs(model).items() ^ digests.items()
    if differing:
        names = first_names(sorted({path for path, _ in differing}))
        raise IntegrityError(f"{names}: not as in the sweep; `git pull` and `dvc pull` bring it")


def settings_of_trial() -> Any:
    """The settings in a process that `run_trials` started; None in others."""
    text = os.environ.get(variable("TRIAL"))
    return text and ast.literal_eval(text)


def run_trials(
    script: str,
    project: Project,
    study: Any,
    settings: Mapping[str, Any],
    *,
    times: int,
    scheduler: str,
) -> str:
    """Run a script so many times, as child runs of one in MLflow; the command that trains the best.

    `settings` are plain values, which the script gets by `settings_of_trial`: `model`, `space`, …
    A trial that was killed fails, and its run is KILLED.
    """
    model = settings["model"]
    with _runs.active_run(
        study.study_name,
        description="Search for better params, by the flow `sweep`; its child runs are its trials.",
        experiment=project.part("sweeps"),
        params={"model": model} | {f"space.{k}": str(v) for k, v in settings["space"].items()},
        tags={},
    ) as run:
        settings = {**settings, SWEEP: run.info.run_id}
        variables = {variable("TRIAL"): repr(settings), _process.PARENT_RUN: run.info.run_id}
        variables["MLFLOW_TRACKING_URI"] = _store.tracking_uri()
        at_once = max(1, processors() // project.threads)
        try:
            failures = run_script(
                script, variables, times=times, scheduler=scheduler, at_once=at_once
            )
        finally:
            _end_killed(study, run.info)
        best = study.best_trial
        keys = [f"++train.{model}.{key}={value}" for key, value in best.params.items()]
        if model not in project.models:
            keys.append(f"models=[{model}]")
        message = f"trial {best.number}: val_accuracy {best.value:.4f}\n{failures}"
        message += f"dvc exp run -S {' -S '.join(map(shlex.quote, keys))}"
        mlflow.log_text(f"{message}\n", "best.txt")
    return message


def _end_killed(study: Any, sweep: Any) -> None:
    """End trials of a sweep whose processes are gone and did not say so, and their runs."""
    for trial in study.get_trials(deepcopy=False):
        if trial.user_attrs.get(SWEEP) == sweep.run_id and not trial.state.is_finished():
            study.tell(trial.number, state=type(trial.state).FAIL)
    unfinished = f"tags.mlflow.parentRunId = '{sweep.run_id}' and attributes.status = 'RUNNING'"
    for run in _runs.find(unfinished, sweep.experiment_id, limit=1000):
        MlflowClient().set_terminated(run.info.run_id, "KILLED")
