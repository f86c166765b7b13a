"""The stages of a flow run as Prefect tasks, and where other tasks of a flow run."""

import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from prefect import get_run_logger, runtime, task
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State
from prefect.states import Completed, Failed
from prefect.task_runners import ThreadPoolTaskRunner

from imageproof.base.errors import BusyError, ImageproofError, ServiceError
from imageproof.dvc._pipeline import Stage
from imageproof.dvc._repro import NOT_RUN
from imageproof.dvc._run import Schedule, stale_stages
from imageproof.prefect.commands import Dvc
from imageproof.system import _process
from imageproof.system._commands import LONG_GRACE_S, CommandFailedError, Commands


@task(
    task_run_name="{name}",
    cache_policy=NO_CACHE,
    retries=2,
    retry_delay_seconds=[10, 60],
    # another try may succeed where a service failed, or something was busy
    retry_condition_fn=lambda _, __, s: s.data in (ServiceError.exit_code, BusyError.exit_code),
)
def run_step(name: str, work: Callable[..., str | None], *arguments: str) -> State[None]:
    """The task of one command, such as a stage; how it ended, `work` returns or raises.

    `name` is the task's.
    """
    try:
        how = work(*arguments)
    except ImageproofError as error:
        return Failed(message=f"{error} (exit code {error.exit_code})", data=error.exit_code)
    return Completed(name="Cached" if how in NOT_RUN.values() else None, message=how)


def run_stages(
    pipeline: Sequence[Stage],
    dvc: Dvc,
    options: Sequence[str],
    *,
    threads: int,
) -> dict[str, State[Any]]:
    """A task per stage, with `options` of `dvc repro`; a training has so many `threads`.

    Returns their final states, NotReady below a failed stage.
    """
    futures: dict[str, Any] = {}
    stale = pipeline if "--force" in options else stale_stages(pipeline)
    stages = {stage.name: stage for stage in stale}
    schedule = Schedule(threads)

    def bring_up_to_date(name: str) -> str:
        if name not in stages:
            return "unchanged"
        with schedule.turn(stages[name]):
            return dvc.reproduce(name, "repro", "--single-item", *options, name)

    for stage in pipeline:
        upstream = [futures[name] for name in stage.upstream if name in futures]
        order: Any = {"wait_for": upstream}
        name = stage.name
        futures[name] = run_step.submit(name, bring_up_to_date, name, **order)
    for future in futures.values():
        future.wait()  # else `state` asks the server, which learns of it a little later
    return {name: future.state for name, future in futures.items()}


def task_runner(scheduler: str, at_once: int) -> Any:
    """The workers of a Dask scheduler, or `at_once` threads of this process without an address."""
    if not scheduler:
        return ThreadPoolTaskRunner[Any](max_workers=at_once)
    from prefect_dask.task_runners import DaskTaskRunner  # not everybody installs Dask

    return DaskTaskRunner(address=scheduler)


def run_script(
    script: str,
    variables: Mapping[str, str],
    *,
    times: int,
    scheduler: str,
    at_once: int,
) -> str:
    """Run a script of the project so many times, with these environment variables.

    Each time is a task with a process of its own, here or on the workers of a Dask scheduler, in
    the folders of these. Returns how many failed, and why; an ImageproofError if all did.
    """
    commands = Commands()
    local = None if scheduler else commands  # it cannot be sent to another process
    context = {_process.FLOW_RUN: str(runtime.flow_run.id), **variables}

    @task(name=Path(script).stem, cache_policy=NO_CACHE)
    def run_once() -> State[None] | None:
        env = _process.child_environment() | context
        log = get_run_logger().info
        try:
            (local or Commands()).run([sys.executable, script], env=env, on_line=log)
        except CommandFailedError as error:  # raised, it would be a traceback in the log
            reason = [str(error), *error.lines][-1].removeprefix("error: ")
            return Failed(message=reason, data=reason)
        return None

    with task_runner(scheduler, at_once) as runner:
        try:
            futures = [runner.submit(run_once, {}, dependencies={}) for _ in range(times)]
            results = [future.result(raise_on_failure=False) for future in futures]
        finally:
            commands.stop(grace_s=LONG_GRACE_S)
    errors = [result for result in results if result is not None]
    if not errors:
        return ""
    message = f"{script}: {len(errors)} of {times} failed, the last one: {errors[-1]}"
    if len(errors) == times:
        raise ImageproofError(message)
    return f"{message}\n"
