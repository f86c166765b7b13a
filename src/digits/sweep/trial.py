"""One trial: a training in a process of its own, on whichever machine it is sent to."""

import os
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from digits import params
from digits.core import checkout, machine, process, provenance
from digits.core.commands import CommandFailedError, Commands
from digits.core.dataset import Dataset, load_split
from digits.core.errors import DigitsError, IntegrityError, printable
from digits.core.files import StrictModel, replacing
from digits.core.files import md5 as md5_of
from digits.core.remote import fetch_file, with_own
from digits.models import builder

if TYPE_CHECKING:
    from digits.training.fit import EpochMetrics

FITTED_ON = ("train", "validation")
FOLDER = Path(".state/splits")
LAST_LINES = 10

SPEC = "DIGITS_TRIAL"  # environment variable


class Spec(StrictModel):
    """All that a trial needs to know, wherever it runs."""

    name: str = ""  # of the trial and of its run in MLflow
    model: str
    raw: dict[str, Any]  # the content of params.yaml, with the trial's values in it
    datasets: dict[str, str]  # md5 of each split in FITTED_ON
    remote: str  # name of the DVC remote that holds the splits; empty: a cache of this machine
    settings: dict[str, str]  # of the remote, without secrets
    commit: str = ""  # of the code; empty: what is installed here
    address: str = ""  # of the git repository that has the commit
    tracking_uri: str
    parent_run: str = ""  # id of the sweep's run in MLflow
    flow_run: str  # id of the sweep's flow run in Prefect
    at_once: int | None = None  # trainings on one machine; None: one for every set of cores


def run_trial(spec: Spec, commands: Commands, on_line: Callable[[str], None]) -> None:
    """Train in a new process until it ends; `on_line` gets what it prints.

    The process gets its threads by TensorFlow's rules, gives its memory back, and ends with
    the worker that started it. The result is in the trial's run in MLflow.

    Raises:
        DigitsError: the trial failed, or `commands` were stopped; its last lines.
    """
    env = process.child_environment(
        root=checkout.home(), flow_run=spec.flow_run, parent_run=spec.parent_run
    )
    python, folder = Path(sys.executable), None
    if spec.commit:
        folder = checkout.check_out(spec.commit, spec.address)
        python, own = checkout.environment(folder)
        env |= own | {checkout.HOME: str(checkout.home())}
    env |= {
        "MLFLOW_TRACKING_URI": spec.tracking_uri,
        "PYTHONUNBUFFERED": "1",
        SPEC: spec.model_dump_json(),
    }
    try:
        command = [str(python), "-m", "digits.sweep.trial"]
        commands.run(command, cwd=folder, env=env, on_line=on_line)
    except CommandFailedError as error:
        raise DigitsError(f"{spec.name} {error}", *error.lines[-LAST_LINES:]) from None


def main() -> None:
    """Read the `Spec` from the environment, wait for cores, and train."""
    spec = Spec.model_validate_json(os.environ[SPEC])
    trial_params = params.check(spec.raw)
    train, root = trial_params.train, process.project_root()

    def on_wait(line: str) -> None:
        print(spec.name, line)

    with (
        machine.Slots(root, spec.at_once or train.at_once).one(on_wait),
        machine.own_gpu(root, on_wait, mirrored=train.distribute == "mirrored"),
    ):
        _train(spec, trial_params)


class _Stopped(Exception):  # noqa: N818 - no error
    """Raised within the training to end it after an epoch."""


def _train(spec: Spec, trial_params: params.Params) -> None:
    """Train in a child run of the sweep, until the last epoch or until we are asked to stop."""
    recipe = trial_params.recipe(spec.model)
    settings = with_own(spec.remote, spec.settings)
    train, validation = (fetch(spec.datasets[name], settings) for name in FITTED_ON)
    with process.quiet_tensorflow(trial_params.train.threads):
        from digits.training import devices, fit
    from digits.tracking import runs, sweeps

    distribute = trial_params.train.distribute
    tags = {
        "device": devices.used(distribute, mixed=recipe.fit.mixed_precision),
        **provenance.tags(stage=f"sweep@{spec.model}"),
        "model": spec.model,
        "split_md5": spec.datasets["train"],
        sweeps.TRIAL_TAG: spec.name,
    }
    logged = trial_params.of_training(spec.model)
    experiment = trial_params.project.part("sweeps")
    what = f"Trial of `{spec.model}` in the sweep that is its parent run."
    with runs.active_run(
        spec.name, what=what, experiment=experiment, params=logged, tags=tags
    ) as run:

        def on_epoch(epoch: int, metrics: "EpochMetrics") -> None:
            runs.log_epoch(epoch, metrics)
            done = f"{spec.name} epoch {epoch + 1}/{recipe.fit.epochs}"
            print(f"{done}  val_accuracy {metrics[sweeps.OBJECTIVE]:.4f}")
            if epoch + 1 < recipe.fit.epochs and (reason := sweeps.obey_stop(run.info.run_id)):
                print(f"{spec.name} stopped: {printable(reason)}")
                raise _Stopped

        with suppress(_Stopped):
            fit.train(
                builder(spec.model),
                train,
                validation,
                recipe=recipe,
                classes=trial_params.data.classes,
                seed=trial_params.seed,
                threads=trial_params.train.threads,
                distribute=distribute,
                on_epoch=on_epoch,
                on_batches=lambda _epochs_done: None,
            )


def fetch(md5: str, settings: Mapping[str, str]) -> Dataset:
    """Fetch a split from a DVC remote or cache, unless this machine keeps it undamaged.

    Args:
        md5: The hash of the split's file.
        settings: Of the remote.

    Raises:
        ServiceError: the remote does not answer, or does not have the file.
        IntegrityError: the file in the remote has another md5.
    """
    path = checkout.home() / FOLDER / f"{md5}.npz"
    if not path.exists() or md5_of(path) != md5:
        with replacing(path) as temporary:
            fetch_file(settings, md5, temporary)
            if (wrong := md5_of(temporary)) != md5:
                raise IntegrityError(f"{settings['url']}: the file of md5 {md5} has md5 {wrong}")
    return load_split(path).data


if __name__ == "__main__":
    process.run_stage(main)
