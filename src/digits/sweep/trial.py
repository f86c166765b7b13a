"""One trial: a training in a process of its own, on this machine or on a Dask worker's."""

import os
import subprocess
import sys
import warnings
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryFile
from typing import TYPE_CHECKING, Any

import optuna

from digits import params
from digits.core import process, provenance
from digits.core.artifacts import split_path
from digits.core.commands import CommandFailedError, Commands
from digits.core.dataset import Dataset, load_split
from digits.core.errors import DigitsError, IntegrityError, ServiceError, UsageError
from digits.core.files import StrictModel, md5
from digits.models import builder
from digits.sweep.space import override, propose
from digits.tracking import database

if TYPE_CHECKING:
    from digits.training.fit import EpochMetrics

FITTED_ON = ("train", "validation")
OBJECTIVE = "val_accuracy"
SPEC = "DIGITS_TRIAL"  # environment variable
LAST_LINES = 10
# Never pruned: the first trials of a study, and the first epoch of a trial.
STARTUP_TRIALS, WARMUP_EPOCHS = 5, 1
HEARTBEAT_S = 30  # after twice as long without one, Optuna takes a trial for failed


class Spec(StrictModel):
    """All that a trial needs to know, wherever it runs."""

    name: str = ""
    model: str
    raw: dict[str, Any]  # the content of params.yaml
    values: dict[str, Any] | None = None  # of keys of train.<model>; None: Optuna proposes them
    seed: int = 0  # of Optuna's proposals; of the training if there are values
    study: str  # name of the Optuna study
    storage: str  # its database URL
    space: dict[str, Any]
    splits: dict[str, str]  # md5 of each split in FITTED_ON
    remote: str = ""  # DVC remote that has the splits; default: DVC's own
    tracking_uri: str
    parent_run: str = ""  # id of the sweep's run in MLflow
    flow_run: str = ""  # id of the sweep's flow run in Prefect


def open_study(spec: Spec) -> optuna.Study:
    """Create the study, or resume it: processes share it by its storage.

    Raises:
        ServiceError: the storage does not answer.
        UsageError: the study is another model's.
    """
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    what = f"Optuna storage of {spec.study}"
    if reason := database.no_answer(spec.storage):
        raise ServiceError(f"{what}: {reason}")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            storage = optuna.storages.RDBStorage(spec.storage, heartbeat_interval=HEARTBEAT_S)
        study = optuna.create_study(
            study_name=spec.study,
            storage=storage,
            load_if_exists=True,
            direction="maximize",
            # constant_liar: proposals that run at the same time differ
            sampler=optuna.samplers.TPESampler(seed=spec.seed, constant_liar=True),
            pruner=optuna.pruners.MedianPruner(STARTUP_TRIALS, WARMUP_EPOCHS),
        )
        known = study.user_attrs.get("model", spec.model)
        study.set_user_attr("model", known)
    except Exception as error:  # each database has its own
        raise ServiceError(f"{what}: {database.reason(error, spec.storage)}") from None
    if known != spec.model:
        raise UsageError(f"study: {spec.study!r} is of {known}, not of {spec.model}")
    return study


def run(
    spec: Spec, on_line: Callable[[str], None], commands: Commands | None = None
) -> float | None:
    """Train in a new process; `on_line` gets what it prints.

    Returns:
        Validation accuracy after the last epoch; None if the trial was pruned.

    Raises:
        DigitsError: the trial failed, or `commands` were stopped; its last lines.
    """
    context = {"flow_run": spec.flow_run, "parent_run": spec.parent_run}
    env = process.child_environment(root=Path.cwd(), **context)
    env |= {"MLFLOW_TRACKING_URI": spec.tracking_uri, SPEC: spec.model_dump_json()}
    command = [sys.executable, "-m", "digits.sweep.trial"]
    with TemporaryFile("w+", encoding="utf-8") as result:
        try:
            (commands or Commands()).run(command, env=env, on_line=on_line, stdout=result)
        except CommandFailedError as error:
            raise DigitsError(f"{spec.name} {error}", *error.lines[-LAST_LINES:]) from None
        result.seek(0)
        return float(text) if (text := result.read()) else None


def main() -> None:
    """Read the `Spec` from the environment, train, and print the accuracy unless pruned."""
    spec = Spec.model_validate_json(os.environ[SPEC])
    if spec.values is not None:
        raw = override(spec.raw, spec.model, spec.values) | {"seed": spec.seed}
        print(train(spec, raw, spec.name))
        return

    def objective(trial: optuna.Trial) -> float:
        values = propose(trial, spec.space)
        trial.set_user_attr("values", values)
        raw = override(spec.raw, spec.model, values)
        accuracy = train(spec, raw, f"trial {trial.number}", trial)
        print(accuracy)
        return accuracy

    open_study(spec).optimize(objective, n_trials=1)


def train(spec: Spec, raw: dict[str, Any], name: str, trial: optuna.Trial | None = None) -> float:
    """Train in a child run of the sweep; returns the validation accuracy after the last epoch.

    Raises:
        TrialPruned: its learning curve is below the median.
    """
    checked = params.check(raw)
    recipe = checked.recipe(spec.model)
    data, validation = (read_split(spec, split) for split in FITTED_ON)
    with process.quiet_tensorflow(checked.train.threads):
        from digits.training import devices, fit
    from digits.tracking import runs

    def on_epoch(epoch: int, metrics: "EpochMetrics") -> None:
        runs.log_metrics(metrics, epoch)
        accuracy, done = metrics[OBJECTIVE], f"{name} epoch {epoch + 1}/{recipe.fit.epochs}"
        print(f"{done}  {OBJECTIVE} {accuracy:.4f}", file=sys.stderr, flush=True)
        if trial:
            trial.report(accuracy, epoch)
            if epoch + 1 < recipe.fit.epochs and trial.should_prune():
                runs.log_metrics({"pruned": 1})
                raise optuna.TrialPruned

    distribute = checked.train.distribute
    tags = {
        "device": devices.used(distribute, mixed=recipe.fit.mixed_precision),
        **provenance.tags(stage=f"sweep@{spec.model}"),
        "model": spec.model,
        "split_md5": spec.splits["train"],
    }
    what = f"Trial of `{spec.model}` in the sweep that is its parent run."
    logged, experiment = checked.of_training(spec.model), checked.project.part("sweeps")
    with (
        runs.active_run(name, what=what, experiment=experiment, params=logged, tags=tags),
        suppress(optuna.TrialPruned),  # its run has finished all the same
    ):
        trained = fit.train(
            builder(spec.model),
            data,
            validation,
            recipe=recipe,
            classes=checked.data.classes,
            seed=checked.seed,
            threads=checked.train.threads,
            distribute=distribute,
            on_epoch=on_epoch,
            on_batches=lambda _epochs_done: None,
        )
        return trained.history[-1][OBJECTIVE]
    raise optuna.TrialPruned


def read_split(spec: Spec, name: str) -> Dataset:
    """Read a split; pull it first if this folder, a clone of the project, has another one.

    Raises:
        IntegrityError: the clone's dvc.lock names another one, too.
    """
    path, wanted = split_path(name), spec.splits[name]
    if not path.exists() or md5(path) != wanted:
        pull = (sys.executable, "-m", "dvc", "--wait-for-lock", "pull", "--quiet", "--force")
        remote = ("--remote", spec.remote) if spec.remote else ()
        subprocess.run([*pull, *remote, str(path)], check=False, stdout=sys.stderr)
    if md5(path) != wanted:
        raise IntegrityError(f"{path.resolve()}: is not the split of the sweep; `git pull` there")
    return load_split(path).data


if __name__ == "__main__":
    process.run_stage(main)
