"""The `train` flow: the pipeline of dvc.yaml, one Prefect task per stage."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from filelock import FileLock
from prefect import flow, runtime, task
from prefect.client.schemas.objects import State
from prefect.states import Completed, Failed

from digits import params
from digits.project import load_project
from imageproof.base.errors import UsageError
from imageproof.base.machine import processors
from imageproof.dvc.params_yaml import read, set_keys
from imageproof.dvc.pipeline import PROJECT_LOCK, check_sources, read_pipeline
from imageproof.prefect.commands import Dvc
from imageproof.prefect.lifecycle import VERSION, in_project, run_as_program
from imageproof.prefect.stages import STEP, final_state, run_stages


@flow(name="train", version=VERSION)
@in_project
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
        push: `dvc push --run-cache` at the end; of an experiment, `dvc exp push origin`.
    """
    if targets and overrides:
        raise UsageError(
            "targets: not with `overrides`; an experiment runs all that depends on these, else it"
            " would show the accuracy of the model before them"
        )
    root = Path.cwd()
    dvc = Dvc()
    options = ["--force"] * force + ["--pull"] * pull
    if overrides:
        return _result(_experiment(dvc, overrides, options, push=push))
    with FileLock(root / PROJECT_LOCK):  # one after the other in the project's folder
        try:
            states = _task("pull", dvc.command, "pull", "--allow-missing") if pull else {}
            if _completed(states):
                check_sources(root, targets)
                trainings = max(1, processors() // load_project().threads)
                pipeline = read_pipeline(root, targets)
                states |= run_stages(pipeline, dvc, options, trainings=trainings)
            if push and _completed(states):
                states |= _task("push", dvc.command, "push", "--run-cache")
            return _result(states)
        finally:  # before the lock is released
            dvc.stop()


def _experiment(
    dvc: Dvc,
    overrides: dict[str, Any],
    options: list[str],
    *,
    push: bool,
) -> dict[str, State[Any]]:
    """One task, as DVC runs the stages of an experiment in a copy of the project."""
    values = read()
    set_keys(values, overrides)
    params.check(values)
    if "--pull" not in options:
        check_sources(Path.cwd())
    # the name that a person gave the run may begin like an option
    name = f"{runtime.flow_run.name}-{runtime.flow_run.id[:8]}".lstrip("-")
    changed = [f"--set-param=++{key}={json.dumps(value)}" for key, value in overrides.items()]
    command = ["exp", "run", "--temp", "--name", name, *options, *changed]
    states = _task("experiment", dvc.reproduce, name, *command)
    if push and _completed(states):
        states |= _task("push", dvc.command, "exp", "push", "origin", name)
    return states


def _task(name: str, run: Callable[..., str | None], *arguments: str) -> dict[str, State[Any]]:
    @task(**STEP)
    def run_dvc(name: str, arguments: Sequence[str]) -> State[None]:
        return final_state(run, *arguments)

    return {name: run_dvc(name, arguments, return_state=True)}


def _completed(states: dict[str, State[Any]]) -> bool:
    return all(state.is_completed() for state in states.values())


def _result(states: dict[str, State[Any]]) -> State[None]:
    if _completed(states):
        cached = sum(state.name == "Cached" for state in states.values())
        return Completed(message=f"{len(states) - cached} ran, {cached} cached")
    failed = [state.message or "" for state in states.values() if state.is_failed()]
    if not_run := [name for name, state in states.items() if state.name == "NotReady"]:
        failed.append(f"not run: {', '.join(not_run)}")
    return Failed(message="\n".join(failed))


if __name__ == "__main__":
    run_as_program(lambda: train(return_state=True))
