"""The stages of a flow run as Prefect tasks."""

from collections.abc import Sequence
from contextlib import nullcontext
from threading import Semaphore
from typing import Any

from prefect import get_run_logger, task
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State, TaskRun
from prefect.states import Completed, Failed

from digits.core.errors import BusyError, DigitsError, ServiceError
from digits.core.pipeline import Stage, check_sources, read_pipeline
from digits.running.repro import NOT_RUN
from flows.support.commands import Dvc
from flows.support.pools import Pools

PASSING = (ServiceError.exit_code, BusyError.exit_code)


class Stages:
    """Runs the stages that may have changed, here or in work pools."""

    def __init__(self, dvc: Dvc, pools: Pools | None, *, trainings: int, force: bool) -> None:
        """At most so many `trainings` run here at a time."""
        self._dvc, self._pools, self._force = dvc, pools, force
        self._training = Semaphore(trainings)
        self._changed: set[str] = set()

    def run_all(self, targets: Sequence[str], *, pull: bool) -> dict[str, State[Any]]:
        """A task per stage; returns their final states, NotReady below a failed stage."""
        states: dict[str, State[Any]] = {}
        if pull:
            states["pull"] = transfer(self._dvc, "pull", "--allow-missing", return_state=True)
            if not states["pull"].is_completed():
                return states
        check_sources(self._dvc.folder, targets)
        futures: dict[str, Any] = {}
        for stage in read_pipeline(self._dvc.folder, targets):
            upstream = [futures[name] for name in stage.upstream if name in futures]
            futures[stage.name] = run_stage.submit(stage, self, wait_for=upstream)
        for future in futures.values():
            future.wait()  # else `state` asks the server, which learns of it a little later
        return states | {name: future.state for name, future in futures.items()}

    def bring_up_to_date(self, stage: Stage) -> str:
        """Run the stage if it or one of its upstream stages has changed; returns how it ended."""
        if not (self._force or stage.changed or self._changed.intersection(stage.upstream)):
            return "unchanged"
        if self._pools and (pool := self._pools.pool(stage)):
            ended = self._pools.run(stage, pool, self._dvc)
        else:
            with self._training if stage.threaded else nullcontext():
                ended = self._dvc.reproduce(stage.name, *["--force"] * self._force)
        if ended != "unchanged":
            self._changed.add(stage.name)
        return ended

    def stop(self) -> None:
        """End what still runs, here and in work pools."""
        self._dvc.commands.stop()
        if self._pools:
            self._pools.cancel()


def _may_pass(_task: object, _task_run: TaskRun, state: State[Any]) -> bool:
    """Whether another try may succeed: a service failed, or something was busy."""
    return state.data in PASSING


@task(
    task_run_name="{stage.name}",
    cache_policy=NO_CACHE,
    retries=2,
    retry_delay_seconds=[10, 60],
    retry_jitter_factor=0.3,
    retry_condition_fn=_may_pass,
)
def run_stage(stage: Stage, stages: Stages) -> State[None]:
    """Bring one stage up to date."""
    try:
        ended = stages.bring_up_to_date(stage)
    except DigitsError as error:
        message = f"{error} (exit code {error.exit_code})"
        get_run_logger().error(message)
        return Failed(message=message, data=error.exit_code)
    return Completed(name="Cached" if ended in NOT_RUN.values() else None, message=ended)


@task(task_run_name="{command}", cache_policy=NO_CACHE, retries=2, retry_delay_seconds=[10, 60])
def transfer(dvc: Dvc, command: str, *options: str) -> State[None]:
    """`dvc pull`, `dvc push` or `dvc exp`, with these options."""
    try:
        dvc.run(command, *options)
    except DigitsError as error:
        return Failed(message=str(error))
    return Completed()
