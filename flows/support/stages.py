"""The stages of a flow run as Prefect tasks, and where other tasks of a flow run."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from functools import partial
from threading import Semaphore
from typing import Any

from prefect import task
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State
from prefect.states import Completed, Failed
from prefect.task_runners import ThreadPoolTaskRunner

from digits.core.errors import BusyError, DigitsError, ServiceError
from digits.core.pipeline import Stage
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

    def run_all(self, pipeline: Sequence[Stage]) -> dict[str, State[Any]]:
        """A task per stage; returns their final states, NotReady below a failed stage."""
        futures: dict[str, Any] = {}
        for stage in pipeline:
            upstream = [futures[name] for name in stage.upstream if name in futures]
            work = partial(self._bring_up_to_date, stage)
            after: Any = {"wait_for": upstream}
            futures[stage.name] = step.submit(stage.name, work, **after)
        for future in futures.values():
            future.wait()  # else `state` asks the server, which learns of it a little later
        return {name: future.state for name, future in futures.items()}

    def _bring_up_to_date(self, stage: Stage) -> str:
        """Run the stage if it or one of its upstream stages has changed; returns how it ended."""
        if not (self._force or stage.changed or self._changed.intersection(stage.upstream)):
            return "unchanged"
        if self._pools and (pool := self._pools.pool(stage)):
            ended = self._pools.run(stage, pool, self._dvc)
        else:
            force = ("repro", "--single-item", "--force", stage.name) if self._force else ()
            with self._training if stage.threaded else nullcontext():
                ended = self._dvc.reproduce(stage.name, force)
        if ended != "unchanged":
            self._changed.add(stage.name)
        return ended


@task(
    task_run_name="{name}",
    cache_policy=NO_CACHE,
    retries=2,
    retry_delay_seconds=[10, 60],
    retry_jitter_factor=0.3,
    # another try may succeed where a service failed, or something was busy
    retry_condition_fn=lambda _task, _task_run, state: state.data in PASSING,
)
def step(name: str, work: Callable[[], str | None]) -> State[None]:
    """One command of a flow run, such as a stage; `work` returns how it ended."""
    try:
        ended = work()
    except DigitsError as error:
        return Failed(message=f"{error} (exit code {error.exit_code})", data=error.exit_code)
    return Completed(name="Cached" if ended in NOT_RUN.values() else None, message=ended)


@contextmanager
def task_runner(scheduler: str, at_once: int = 1) -> Iterator[Any]:
    """The workers of a Dask scheduler, or `at_once` threads of this process without an address."""
    if not scheduler:
        with ThreadPoolTaskRunner[Any](max_workers=at_once) as threads:
            yield threads
        return
    from prefect_dask.task_runners import DaskTaskRunner  # not everybody installs Dask

    with DaskTaskRunner(address=scheduler) as dask:
        try:
            workers = dask.client.scheduler_info()["workers"]
        except OSError:
            raise ServiceError(f"scheduler: no Dask scheduler at {scheduler}") from None
        if not workers:
            raise ServiceError(f"scheduler: {scheduler} has no workers")
        yield dask
