"""One trial: values from the sweep's space, and a training in a process of its own.

A space says which keys of `train.<model>` vary, over a range or a list of choices.
"""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from contextlib import redirect_stdout, suppress
from copy import deepcopy
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any

import optuna

from digits import params
from digits.models import model_file
from digits.project import as_project
from imageproof.artifacts import split_path
from imageproof.base import process
from imageproof.base.commands import CommandFailedError, Commands
from imageproof.base.dataset import Dataset, load_split
from imageproof.base.errors import ImageproofError, IntegrityError, ServiceError, UsageError
from imageproof.base.files import StrictModel, md5, read_yaml, text_sha256
from imageproof.base.params_yaml import set_keys
from imageproof.dvc import provenance
from imageproof.mlflow import store

FITTED_ON = ("train", "validation")
OBJECTIVE = "val_accuracy"
SPEC = "DIGITS_TRIAL"  # environment variable
ALLOWED = "allowed is a range {low: …, high: …}, with step or log, or a list of choices"
Values = dict[str, Any]  # by key of train.<model>, such as `fit.batch_size`


class Spec(StrictModel):
    """All that a trial needs to know, wherever it runs."""

    name: str = ""
    model: str
    raw: dict[str, Any]  # the content of params.yaml
    values: Values | None = None  # None: Optuna proposes them
    seed: int = 0  # of Optuna's proposals; of the training if there are values
    study: str
    storage: str  # Optuna's database URL
    space: Values
    splits: dict[str, str]  # md5 of each split in FITTED_ON
    remote: str = ""  # DVC remote that has the splits; default: DVC's own
    tracking_uri: str
    parent_run: str = ""  # of the sweep in MLflow
    flow_run: str = ""  # of the sweep in Prefect


def read_space(path: Path, *, model: str, raw: Values) -> Values:
    """Read a YAML mapping; UsageError unless params.yaml, `raw`, allows all its values."""
    try:
        space = read_yaml(path)
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror}") from None
    if not isinstance(space, dict) or not space:
        raise UsageError(f"{path}: names no key of train.{model}; for each, {ALLOWED}")
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    for key, entry in space.items():
        trial = optuna.create_study().ask()
        try:
            propose(trial, {key: entry})
            found: Any = trial.distributions[key]
            for value in entry if isinstance(entry, list) else (found.low, found.high):
                params.check(override(raw, model, {key: value}))
        except UsageError as error:
            raise UsageError(*(f"{path}: {finding}" for finding in error.findings)) from None
        except (TypeError, ValueError) as error:
            raise UsageError(f"{path} {key}: {error}; {ALLOWED}") from None
    return dict(space)


def propose(trial: optuna.Trial, space: Values) -> Values:
    """Let Optuna choose a value for each key; TypeError or ValueError if it cannot."""
    values = {}
    for key, entry in space.items():
        if isinstance(entry, list):
            # as JSON, because a choice may be a list, which Optuna cannot store
            choices = [json.dumps(choice) for choice in entry]
            values[key] = json.loads(trial.suggest_categorical(key, choices))
        elif isinstance(entry, dict):
            whole = all(isinstance(value, int) for value in entry.values())
            suggest: Any = trial.suggest_int if whole else trial.suggest_float
            values[key] = suggest(key, **entry)
        else:
            raise ValueError(f"{entry!r} is neither a range nor a list")
    return values


def override(raw: Values, model: str, values: Values) -> Values:
    """A copy of params.yaml's content with these keys of `train.<model>` set."""
    changed = deepcopy(raw)
    set_keys(changed, {f"train.{model}.{key}": value for key, value in values.items()})
    return changed


def open_study(spec: Spec) -> optuna.Study:
    """Create or resume the study, which processes share by its storage; ImageproofError."""
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    what = f"Optuna storage of {spec.study}"
    if reason := store.no_answer(spec.storage):
        raise ServiceError(f"{what}: {reason}")
    try:
        study = optuna.create_study(
            study_name=spec.study,
            storage=spec.storage,
            load_if_exists=True,
            direction="maximize",
            # constant_liar: proposals that run at the same time differ
            sampler=optuna.samplers.TPESampler(seed=spec.seed, constant_liar=True),
            pruner=optuna.pruners.MedianPruner(n_startup_trials=5, n_warmup_steps=1),
        )
        own = {"model": spec.model, "search": _search(spec)}
        known = {key: study.user_attrs.get(key, value) for key, value in own.items()}
        for key, value in known.items():
            study.set_user_attr(key, value)
    except Exception as error:  # each database has its own
        raise ServiceError(f"{what}: {store.without_address(error, spec.storage)}") from None
    if known["model"] != spec.model:
        raise UsageError(f"study: {spec.study!r} is of {known['model']}, not of {spec.model}")
    if known != own:
        said = f"study: {spec.study!r} has trials of another space, other data or params"
        raise UsageError(f"{said}; --study names a new one")
    return study


def _search(spec: Spec) -> str:
    """A hash of what the accuracies of a study's trials must have in common to be compared."""
    fixed = params.check(spec.raw).of_training(spec.model)
    fixed = {key: value for key, value in fixed.items() if key not in {"seed", *spec.space}}
    return text_sha256(json.dumps([spec.space, spec.splits, fixed], sort_keys=True, default=str))


def run(
    spec: Spec, on_line: Callable[[str], None], commands: Commands | None = None
) -> float | None:
    """Train in a new process; the validation accuracy at the end, None if it was pruned."""
    run_ids = {"flow_run": spec.flow_run, "parent_run": spec.parent_run}
    env = process.child_environment(root=Path.cwd(), **run_ids)
    env |= {"MLFLOW_TRACKING_URI": spec.tracking_uri, SPEC: spec.model_dump_json()}
    command = [sys.executable, "-m", "digits.sweep.trial"]
    with TemporaryFile("w+", encoding="utf-8") as result:
        try:
            (commands or Commands()).run(command, env=env, on_line=on_line, stdout=result)
        except CommandFailedError as error:
            raise ImageproofError(f"{spec.name} {error}", *error.lines[-10:]) from None
        result.seek(0)
        return float(text) if (text := result.read()) else None


def main() -> None:
    spec = Spec.model_validate_json(os.environ[SPEC])

    def objective(trial: optuna.Trial) -> float:
        values = propose(trial, spec.space)
        trial.set_user_attr("values", values)
        accuracy = _train(spec, override(spec.raw, spec.model, values), trial)
        print(accuracy)
        return accuracy

    if spec.values is None:
        open_study(spec).optimize(objective, n_trials=1)
    else:
        print(_train(spec, override(spec.raw, spec.model, spec.values) | {"seed": spec.seed}))


def _train(spec: Spec, raw: dict[str, Any], trial: optuna.Trial | None = None) -> float:
    checked = params.check(raw)
    recipe = checked.recipe(spec.model)
    data, validation = (_read_split(spec, split) for split in FITTED_ON)
    with process.quiet_tensorflow(checked.train.threads):
        from digits.training import keras_model
        from imageproof.keras import devices
        from imageproof.keras.clock import Clock
    from imageproof.mlflow import runs

    def on_epoch(epoch: int, metrics: dict[str, float]) -> None:
        runs.log_metrics(metrics, epoch)
        accuracy, done = metrics[OBJECTIVE], f"epoch {epoch + 1}/{recipe.epochs}"
        print(f"{spec.name} {done}  {OBJECTIVE} {accuracy:.4f}", file=sys.stderr, flush=True)
        if trial:
            trial.report(accuracy, epoch)
            if epoch + 1 < recipe.epochs and trial.should_prune():
                runs.log_metrics({"pruned": 1})
                raise optuna.TrialPruned

    device = devices.used(checked.train.distribute, mixed=recipe.fit.mixed_precision)
    tags = {"device": device, "model": spec.model, "split_md5": spec.splits["train"]}
    tags |= provenance.tags(stage=f"sweep@{spec.model}", split=split_path("train"))
    what = f"Trial of `{spec.model}` in the sweep that is its parent run."
    logged, experiment = checked.of_training(spec.model), as_project(checked).part("sweeps")
    with (
        redirect_stdout(sys.stderr),  # MLflow prints where a server's run is; stdout has the result
        runs.active_run(spec.name, what=what, experiment=experiment, params=logged, tags=tags),
        suppress(optuna.TrialPruned),  # its run has finished all the same
    ):
        clock, given = Clock(on_epoch), (model_file(spec.model), recipe, data, validation)
        keras_model.train(*given, clock=clock, **checked.common_settings())
        kept: int = recipe.fit.kept_epoch(clock.history)
        return clock.history[kept][OBJECTIVE]
    raise optuna.TrialPruned


def _read_split(spec: Spec, name: str) -> Dataset:
    """Read a split; pull it first if this folder, a clone of the project, has another one."""
    path, wanted = split_path(name), spec.splits[name]
    if not path.exists() or md5(path) != wanted:
        pull = (sys.executable, "-m", "dvc", "--wait-for-lock", "pull", "--quiet", "--force")
        remote = ("--remote", spec.remote) if spec.remote else ()
        subprocess.run([*pull, *remote, str(path)], check=False, stdout=sys.stderr)
    if md5(path) != wanted:  # the clone's dvc.lock names another one, too
        raise IntegrityError(f"{path.resolve()}: is not the split of the sweep; `git pull` there")
    return load_split(path).data


if __name__ == "__main__":
    process.run_stage(main)
