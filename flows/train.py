"""The `train` flow: the pipeline of dvc.yaml, one Prefect task per stage."""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, NamedTuple, cast

from prefect import flow, get_run_logger, runtime, task
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State
from prefect.states import Completed, Failed
from pydantic import Field

from digits import params
from digits.core.errors import DigitsError
from digits.core.machine import trainings_at_once
from digits.core.slots import Slots
from flows.support import starting
from flows.support.abandoned import never_forgotten
from flows.support.commands import CommandFailedError
from flows.support.pipeline import Stage, check_sources, read_pipeline
from flows.support.running import Progress, Run, check_tracking, environment
from flows.support.scheduling import Future, Schedule
from flows.support.summary import publish
from flows.support.workspaces import experiment_name, project_lock, save_experiment, workspace

# DVC's words where `dvc pull` would overwrite what is in no cache.
UNSAVED = "unsaved files"


class Options(NamedTuple):
    """The parameters of the flow; `train` says what they mean."""

    targets: Sequence[str] | None
    overrides: dict[str, Any]
    force: bool
    max_parallel: int | None
    stage_timeout_s: float | None
    pull: bool
    push: bool


@flow(name="train")
def train(
    targets: list[str] | None = None,
    overrides: dict[str, Any] | None = None,
    force: bool = False,
    max_parallel: Annotated[int, Field(ge=1)] | None = None,
    stage_timeout_s: Annotated[float, Field(gt=0)] | None = None,
    pull: bool = False,
    push: bool = False,
) -> State[None]:
    """Bring the pipeline of dvc.yaml up to date.

    Args:
        targets: Stages, with all they depend on; default: the whole pipeline.
        overrides: Params by dotted key, such as `{"train.cnn.fit.epochs": 1}`. The run then works
            in a copy of the project and leaves a DVC experiment; your files stay as they are.
        force: Run every stage, changed or not.
        max_parallel: Stages at once; default: as many as need not share cores.
        stage_timeout_s: Seconds after which a stage is ended and has failed.
        pull: `dvc pull` first.
        push: `dvc push` at the end.
    """
    options = Options(
        targets, overrides or {}, force, max_parallel, stage_timeout_s, pull=pull, push=push
    )
    starting.no_traceback()
    root = Path.cwd()
    try:
        params.load(root / params.PATH)  # also the first to find that this is no project
        with never_forgotten():
            return _train(root, options)
    except DigitsError as error:
        return Failed(message=str(error))


@task(task_run_name="{stage.name}", cache_policy=NO_CACHE)
def run_stage(stage: Stage, run: Run) -> State[None]:
    """Bring one stage up to date; Cached where its command need not run."""
    if not run.may_change(stage):
        return Completed(name="Cached", message="unchanged")
    force = ["--force"] if run.force else []
    try:
        lines = run.dvc("repro", "--single-item", *force, stage.name, progress=Progress(stage.name))
    except CommandFailedError as error:
        return Failed(message=f"{stage.name} {error}")
    if any(line.endswith("didn't change, skipping") for line in lines):
        return Completed(name="Cached", message="unchanged")
    run.note_changed(stage)
    if any("is cached - skipping run" in line for line in lines):
        return Completed(name="Cached", message="brought from DVC's run cache")
    return Completed()


def _would_overwrite(pulled: State[Any]) -> bool:
    return UNSAVED in (pulled.message or "")


@task(
    task_run_name="{command}",
    cache_policy=NO_CACHE,
    retries=2,
    retry_delay_seconds=10,
    retry_condition_fn=lambda _task, _task_run, state: not _would_overwrite(state),
)
def transfer(command: str, run: Run, options: Sequence[str] = ()) -> State[None]:
    """`dvc pull` or `dvc push`."""
    try:
        run.dvc(command, *options)
    except CommandFailedError as error:
        return Failed(message=f"dvc {command} {error}")
    return Completed()


def _train(root: Path, options: Options) -> State[None]:
    threads = _checked_threads(root, options.overrides)
    if options.overrides:
        read_pipeline(root, options.targets)  # before a workspace is made
        if not options.pull:  # the copy has what `.dvc` files name, whatever lies here
            check_sources(root, options.targets)
    with _place(root, options.overrides) as (folder, experiment):
        env = environment(root, folder, run_id=runtime.flow_run.id, experiment=experiment)
        run = Run(folder, env, force=options.force, timeout_s=options.stage_timeout_s)
        try:
            states = _run_all(root, run, options, threads)
        finally:
            run.commands.stop()
        result = _result(states)
        if experiment and result.is_completed():
            save_experiment(root, folder, experiment, options.targets)
        publish(folder, states, experiment=experiment)
        return result


def _checked_threads(root: Path, overrides: dict[str, Any]) -> int:
    values = params.read(root / params.PATH)
    params.set_keys(values, overrides)
    return params.check(values).train.threads


@contextmanager
def _place(root: Path, overrides: dict[str, Any]) -> Iterator[tuple[Path, str | None]]:
    """The folder to work in, and the name of the experiment that comes of it, if any."""
    if overrides:
        name = experiment_name(root, runtime.flow_run.name, runtime.flow_run.id)
        with workspace(root, overrides, name=str(runtime.flow_run.id)) as folder:
            yield folder, name
    else:
        with project_lock(root, on_wait=get_run_logger().info):
            yield root, None


def _run_all(root: Path, run: Run, options: Options, threads: int) -> dict[str, State[Any]]:
    states: dict[str, State[Any]] = {}
    if options.overrides and not options.pull:
        run.dvc("checkout", "--quiet", "--allow-missing")
    if options.pull:
        states["pull"] = transfer("pull", run, ["--allow-missing"], return_state=True)
    if _all_completed(states) or _would_overwrite(states["pull"]):
        check_sources(run.folder, options.targets)
    if _all_completed(states):
        states |= _run_stages(root, run, options, threads)
    if options.push and _all_completed(states):
        states["push"] = transfer("push", run, return_state=True)
    return states


def _run_stages(root: Path, run: Run, options: Options, threads: int) -> dict[str, State[Any]]:
    def submit(stage: Stage, upstream: Sequence[Future]) -> Future:
        future = run_stage.submit(stage, run, return_state=False, wait_for=upstream)
        return cast(Future, future)  # as every future of the default task runner

    stages = read_pipeline(run.folder, options.targets)
    if any(stage.threaded for stage in stages) and any(map(run.may_change, stages)):
        check_tracking()
    schedule = Schedule(
        stages,
        submit,
        needs_slot=lambda stage: stage.threaded and run.may_change(stage),
        slots=Slots(root, options.max_parallel or trainings_at_once(threads)),
        at_once=options.max_parallel or max(2, os.cpu_count() or 1),
    )
    try:
        return schedule.run()
    finally:
        schedule.close()


def _all_completed(states: dict[str, State[Any]]) -> bool:
    return all(state.is_completed() for state in states.values())


def _result(states: dict[str, State[Any]]) -> State[None]:
    if _all_completed(states):
        cached = sum(state.name == "Cached" for state in states.values())
        return Completed(message=f"{len(states) - cached} ran, {cached} cached")
    failed = [state.message or "" for state in states.values() if state.is_failed()]
    not_run = [name for name, state in states.items() if state.name == "NotReady"]
    return Failed(
        message="\n".join([*failed, *([f"not run: {', '.join(not_run)}"] * bool(not_run))])
    )


if __name__ == "__main__":
    starting.run(lambda: train(return_state=True))
