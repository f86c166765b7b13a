"""The pipeline of dvc.yaml in a flow run: brought up to date here, or run as DVC's experiment."""

import json
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from filelock import FileLock
from prefect import runtime
from prefect.client.schemas.objects import State
from prefect.states import Completed, Failed

from imageproof.base.errors import UsageError
from imageproof.base.text import first_names
from imageproof.dvc._pipeline import check_sources, read_pipeline
from imageproof.dvc._run import stale_stages
from imageproof.dvc.provenance import PROJECT_LOCK
from imageproof.prefect import branch
from imageproof.prefect._stages import run_stages, run_step
from imageproof.prefect.commands import Dvc
from imageproof.prefect.lifecycle import show_results
from imageproof.project import Project

States = dict[str, State[Any]]  # by the names of tasks
run = partial(run_step, return_state=True)


def run_pipeline(
    project: Project,
    targets: Sequence[str],
    *,
    force: bool,
    pull: bool,
    push: bool,
) -> State[None]:
    """Run what changed of the stages `targets`, or of all; a task for each stage.

    The data of its state is the branch that was pushed.
    """
    dvc = Dvc()
    states: States = {}
    with FileLock(PROJECT_LOCK):  # one after the other in the project's folder
        if push:
            branch.check_push()
            dvc.command("remote", "default")  # fails if there is none
        try:
            if pull:
                states["pull"] = run("pull", dvc.command, "pull", "--allow-missing")
            if _completed(states):
                stages = read_pipeline(Path(), targets)
                states |= run_stages(stages, dvc, _options(force, pull), threads=project.threads)
            if _completed(states):
                show_results(project.name, states)
                if push:
                    states["push"] = run("push", partial(_publish, dvc, targets))
            return _result(states)
        finally:  # before the lock is released
            dvc.stop()


def run_experiment(
    overrides: Mapping[str, Any],
    *,
    force: bool,
    pull: bool,
    push: bool,
) -> State[None]:
    """Run the pipeline with other params, as one task: DVC does so in a copy of the project."""
    dvc = Dvc()
    if not pull:
        check_sources(Path.cwd())
    # the name that a person gave the run may begin like an option
    name = f"{runtime.flow_run.name}-{runtime.flow_run.id[:8]}".lstrip("-")
    as_json = partial(json.dumps, ensure_ascii=False)  # Hydra would keep a \u00e4 as it is
    changed = [f"--set-param=++{key}={as_json(value)}" for key, value in overrides.items()]
    command = ["exp", "run", "--temp", "--name", name, *_options(force, pull), *changed]
    states = {"experiment": run("experiment", dvc.reproduce, name, *command)}
    if push and _completed(states):
        states["push"] = run("push", dvc.command, "exp", "push", "origin", name)
    return _result(states)


def _options(force: bool, pull: bool) -> list[str]:
    return ["--force"] * force + ["--pull"] * pull


def _publish(dvc: Dvc, targets: Sequence[str]) -> str:
    pipeline = [stage for stage in read_pipeline(Path(), targets) if not stage.runs_always]
    if stale := stale_stages(pipeline):
        names = first_names([stage.name for stage in stale])
        raise UsageError(f"push: {names} changed while the flow ran; run it again")
    dvc.command("push", "--run-cache")
    return branch.publish()


def _completed(states: States) -> bool:
    return all(state.is_completed() for state in states.values())


def _result(states: States) -> State[None]:
    if _completed(states):
        stages = [state.name for name, state in states.items() if name not in ("pull", "push")]
        cached = stages.count("Cached")
        message = f"{len(stages) - cached} ran, {cached} cached"
        pushed = states["push"].message if "push" in states else ""
        return Completed(message=f"{message}; branch {pushed}" if pushed else message, data=pushed)
    failed = [state.message or "" for state in states.values() if state.is_failed()]
    if not_run := [name for name, state in states.items() if state.name == "NotReady"]:
        failed.append(f"not run: {', '.join(not_run)}")
    return Failed(message="\n".join(failed))
