"""The `train` flow: the pipeline of dvc.yaml, one Prefect task per stage."""

import json
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from filelock import FileLock
from prefect import flow, runtime, task
from prefect.client.schemas.objects import State
from prefect.states import Completed, Failed

from digits import params
from digits.project import load_project
from imageproof.base import errors, machine
from imageproof.dvc import params_yaml, pipeline
from imageproof.prefect import branch, commands, lifecycle, stages


@flow(name="train", version=lifecycle.VERSION)
@lifecycle.in_project
def train(
    targets: Sequence[str] = (),
    overrides: dict[str, Any] | None = None,
    force: bool = False,
    pull: bool = False,
    push: bool = False,
) -> State[None]:
    """Bring the pipeline of dvc.yaml up to date.

    Args:
        targets: Stages, with all they depend on; none: the whole pipeline. Not with `overrides`.
        overrides: Params by dotted key, such as `{"train.cnn.fit.epochs": 1}`. The run is then a
            DVC experiment: it works in a copy of the project, and runs all that depends on them.
        force: Run every stage, changed or not.
        pull: `dvc pull` first; no stage runs whose result is in the run cache of DVC's remote.
        push: `dvc push --run-cache` at the end, and a branch `retrain/…` of git's `origin` with
            what git keeps; of an experiment, `dvc exp push origin`.
    """
    if targets and overrides:
        raise errors.UsageError(
            "targets: not with `overrides`; an experiment runs all that depends on these, else it"
            " would show the accuracy of the model before them"
        )
    root = Path.cwd()
    dvc = commands.Dvc()
    options = ["--force"] * force + ["--pull"] * pull
    if overrides:
        return _result(_experiment(dvc, overrides, options, push=push))
    with FileLock(root / pipeline.PROJECT_LOCK):  # one after the other in the project's folder
        if push:
            branch.check_push()
        try:
            states = _task("pull", dvc.command, "pull", "--allow-missing") if pull else {}
            if _completed(states):
                pipeline.check_sources(root, targets)
                trainings = max(1, machine.processors() // load_project().threads)
                names = pipeline.read_pipeline(root, targets)
                states |= stages.run_stages(names, dvc, options, trainings=trainings)
            if _completed(states):
                lifecycle.show_results(load_project().name)
                states |= _task("push", partial(_publish, dvc)) if push else {}
            return _result(states)
        finally:  # before the lock is released
            dvc.stop()


def _experiment(
    dvc: commands.Dvc,
    overrides: dict[str, Any],
    options: list[str],
    *,
    push: bool,
) -> dict[str, State[Any]]:
    """One task, as DVC runs the stages of an experiment in a copy of the project."""
    values = params_yaml.read()
    params_yaml.set_keys(values, overrides)
    params.check(values)
    if "--pull" not in options:
        pipeline.check_sources(Path.cwd())
    # the name that a person gave the run may begin like an option
    name = f"{runtime.flow_run.name}-{runtime.flow_run.id[:8]}".lstrip("-")
    changed = [f"--set-param=++{key}={json.dumps(value)}" for key, value in overrides.items()]
    command = ["exp", "run", "--temp", "--name", name, *options, *changed]
    states = _task("experiment", dvc.reproduce, name, *command)
    if push and _completed(states):
        states |= _task("push", dvc.command, "exp", "push", "origin", name)
    return states


def _publish(dvc: commands.Dvc) -> str:
    dvc.command("push", "--run-cache")
    return branch.publish()


def _task(name: str, run: Callable[..., str | None], *arguments: str) -> dict[str, State[Any]]:
    @task(**stages.STEP)
    def run_dvc(name: str, arguments: Sequence[str]) -> State[None]:
        return stages.final_state(run, *arguments)

    return {name: run_dvc(name, arguments, return_state=True)}


def _completed(states: dict[str, State[Any]]) -> bool:
    return all(state.is_completed() for state in states.values())


def _result(states: dict[str, State[Any]]) -> State[None]:
    if _completed(states):
        cached = sum(state.name == "Cached" for state in states.values())
        message = f"{len(states) - cached} ran, {cached} cached"
        pushed = states["push"].message if "push" in states else ""
        return Completed(message=f"{message}; branch {pushed}" if pushed else message, data=pushed)
    failed = [state.message or "" for state in states.values() if state.is_failed()]
    if not_run := [name for name, state in states.items() if state.name == "NotReady"]:
        failed.append(f"not run: {', '.join(not_run)}")
    return Failed(message="\n".join(failed))


if __name__ == "__main__":
    lifecycle.run_as_program(lambda: train(return_state=True))
