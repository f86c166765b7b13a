"""One trial: a training in a process of its own, on whichever machine it is sent to."""

import json
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory

from pydantic import BaseModel, ConfigDict

from digits import params
from digits.core import context, machine, process
from digits.core.errors import DigitsError
from digits.core.files import read_json, write_json
from digits.core.slots import Slots
from digits.models import builder
from digits.sweep import splits

FITTED_ON = ("train", "validation")
LAST_LINES = 10

_children: set["subprocess.Popen[str]"] = set()


class Spec(BaseModel):
    """All that a trial needs to know, wherever it runs.

    `raw` is the content of params.yaml with the trial's values in it, `datasets` the md5 of
    each split, `source` the address of a DVC remote that holds them, `at_once` how many trainings
    one machine shall bear (default: those that have cores of their own).
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    model: str
    raw: dict[str, object]
    datasets: dict[str, str]
    source: str
    tracking_uri: str
    parent_run: str
    flow_run: str
    at_once: int | None = None


class Outcome(BaseModel):
    """What became of a trial: the objective after its last epoch, and whether it was stopped."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    value: float
    pruned: bool
    run_id: str


def run(spec: dict[str, object]) -> dict[str, object]:
    """Run the trial to its end in a process of its own, and print what it prints.

    The process gets its threads by TensorFlow's rules, gives its memory back, and ends with
    the worker that started it.

    Args:
        spec: A `Spec` as plain values.

    Returns:
        An `Outcome` as plain values.

    Raises:
        DigitsError: the trial failed; its last lines.
    """
    wanted = Spec.model_validate(spec)
    with TemporaryDirectory() as folder:
        outcome = Path(folder) / "outcome.json"
        child = subprocess.Popen(
            [sys.executable, "-m", "digits.sweep.trial", str(outcome)],
            env=_environment(wanted),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        _children.add(child)
        try:
            lines = _talk(child, wanted.model_dump_json())
        finally:
            _children.discard(child)
        if child.returncode != 0:
            raise DigitsError(f"{wanted.name} ended with {child.returncode}", *lines[-LAST_LINES:])
        return read_json(outcome, dict[str, object])


def stop_all() -> None:
    """End the trials that this process started; their MLflow runs end KILLED."""
    for child in list(_children):
        child.terminate()


def _environment(spec: Spec) -> dict[str, str]:
    return {
        **context.environment(flow_run=spec.flow_run, parent_run=spec.parent_run),
        "MLFLOW_TRACKING_URI": spec.tracking_uri,
        "PYTHONUNBUFFERED": "1",
    }


def _talk(child: "subprocess.Popen[str]", text: str) -> list[str]:
    assert child.stdin is not None
    assert child.stdout is not None
    with suppress(BrokenPipeError), child.stdin as stdin:
        stdin.write(text)
    lines = []
    with child.stdout as stdout:
        for line in stdout:
            lines.append(line.rstrip())
            print(lines[-1])
    child.wait()
    return lines


def main(outcome: str) -> None:
    """Read a `Spec` from stdin, train, and write the `Outcome` to that path."""
    spec = Spec.model_validate(json.load(sys.stdin))
    write_json(Path(outcome), train(spec).model_dump())


def train(spec: Spec) -> Outcome:
    """Train as the spec says, live in a child run of the sweep, and stop when asked to."""
    checked = params.check(spec.raw)
    at_once = spec.at_once or machine.trainings_at_once(checked.train.threads)
    cores = Slots(context.project_root(), at_once)
    with cores.one(on_wait=lambda line: print(spec.name, line)):
        return _train(spec, checked)


def _train(spec: Spec, checked: params.Params) -> Outcome:
    recipe = checked.recipe(spec.model)
    data, validation = (splits.fetch(spec.datasets[name], spec.source) for name in FITTED_ON)
    with process.quiet_tensorflow(checked.train.threads):
        from digits.training import fit as training
    from digits.sweep.live import Live, Stopped
    from digits.tracking import runs, sweeps

    logged, tags = checked.of_training(spec.model), _tags(spec)
    with runs.run(spec.name, experiment=sweeps.EXPERIMENT, params=logged, tags=tags) as active:
        live = Live(spec.name, str(active.info.run_id), recipe.fit.epochs)
        with suppress(Stopped):
            training.train(
                builder(spec.model),
                data,
                validation,
                recipe=recipe,
                classes=checked.data.classes,
                seed=checked.seed,
                threads=checked.train.threads,
                on_epoch=live.on_epoch,
                on_batches=lambda _epochs_done: None,
            )
    return Outcome(value=live.value, pruned=live.stopped, run_id=live.run_id)


def _tags(spec: Spec) -> dict[str, str]:
    from digits.core import provenance
    from digits.tracking import sweeps

    return {
        **provenance.tags(stage=f"sweep@{spec.model}"),
        "model": spec.model,
        "split_md5": spec.datasets["train"],
        sweeps.TRIAL_TAG: spec.name,
    }


if __name__ == "__main__":
    process.run_stage(main)
