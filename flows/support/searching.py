"""What the `sweep` flow does: check, split, and send the trials to a task runner."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from prefect import Task, get_run_logger, runtime
from prefect.artifacts import create_markdown_artifact
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State
from prefect.settings import get_current_settings
from prefect.states import Completed, Failed
from prefect.task_runners import TaskRunner, ThreadPoolTaskRunner

from digits import params
from digits.core.errors import ServiceError, UsageError
from digits.core.machine import trainings_at_once
from digits.sweep import splits, sweep, trial
from digits.sweep.search import Submit
from digits.sweep.space import read_space
from digits.sweep.study import open_study
from digits.tracking import store, sweeps
from flows.support.pipeline import cache_folder, push, remote_address
from flows.train import train

LOOPBACK = ("127.0.0.1", "localhost", "[::1]")


class Options(NamedTuple):
    """The parameters of the flow; `sweep` says what they mean."""

    model: str
    space: str
    trials: int
    parallel: int | None
    scheduler: str | None
    study: str | None
    storage: str | None
    remote: str | None
    seeds: int


def search(root: Path, options: Options) -> State[None]:
    """Run the whole sweep in a project's folder."""
    raw = params.read()
    checked = params.check(raw)
    checked.recipe(options.model)
    space = read_space(Path(options.space), model=options.model, raw=raw)
    source = remote_address(root, options.remote) if options.remote else cache_folder(root)
    workers = _workers(options, here=trainings_at_once(checked.train.threads))
    store.connect(sweeps.EXPERIMENT)
    study = open_study(
        options.study or options.model,
        model=options.model,
        space=space,
        seed=checked.seed,
        storage=options.storage,
    )
    split = train(targets=["split"], return_state=True)
    if not split.is_completed():
        return Failed(message=split.message)
    if options.remote:
        push(root, "split", options.remote)
    common = sweep.Sweep(
        model=options.model,
        raw=raw,
        datasets=splits.digests(list(trial.FITTED_ON)),
        source=source,
        tracking_uri=store.tracking_uri(),
        flow_run=str(runtime.flow_run.id),
        at_once=None if options.scheduler else options.parallel,
    )
    with _submitting(options, workers) as submit:
        found = sweep.run(
            study,
            common,
            space,
            submit,
            trials=options.trials,
            parallel=workers,
            seeds=options.seeds,
        )
    return _completed(found)


def _completed(found: sweep.Found) -> State[None]:
    get_run_logger().info("%s", found)
    create_markdown_artifact(f"{found.verdict}\n\n    {found.command}\n", key="sweep")
    return Completed(message=str(found))


class Submitted:
    """A Prefect future as `digits.sweep.search` asks it."""

    def __init__(self, future: Any, place: str) -> None:
        self._future = future
        self._place = place

    def done(self) -> bool:
        """Whether the trial is over.

        Raises:
            ServiceError: nobody will ever know.
        """
        asked = self._future.wrapped_future
        if asked.cancelled():  # what Dask says of all when it loses the scheduler
            raise ServiceError(f"scheduler: {self._place} is gone")
        return bool(asked.done())

    def result(self) -> Mapping[str, object]:
        """What it returned; its error is raised."""
        outcome: Mapping[str, object] = self._future.result()
        return outcome


@contextmanager
def _submitting(options: Options, workers: int) -> Iterator[Submit]:
    """Trials as tasks on the task runner the user names; interrupted, it does not wait for them."""
    # Not a decorated function of this file: a worker has the package, and need not have the file.
    task = Task(
        fn=trial.run,
        name="trial",
        task_run_name="{spec[name]}",
        cache_policy=NO_CACHE,
        persist_result=False,
        log_prints=True,
    )
    with _task_runner(options, workers) as runner:
        try:
            yield lambda spec: Submitted(
                runner.submit(task, parameters={"spec": spec}, dependencies={}),
                place=str(options.scheduler),
            )
        finally:
            trial.stop_all()


def _task_runner(options: Options, workers: int) -> TaskRunner[Any]:
    if options.scheduler is None:
        return ThreadPoolTaskRunner(max_workers=workers)
    from prefect_dask import DaskTaskRunner

    runner: TaskRunner[Any] = DaskTaskRunner(address=options.scheduler)
    return runner


def _workers(options: Options, *, here: int) -> int:
    """How many trials at once.

    Raises:
        ServiceError: no scheduler at the address, or no worker at the scheduler.
    """
    if options.scheduler is None:
        return options.parallel or here
    _check_reach(options.scheduler, options.remote)
    from distributed import Client

    try:
        # typed in part only
        connect: Any = Client
        with connect(options.scheduler, timeout=10, set_as_default=False) as client:
            count = len(client.scheduler_info(n_workers=-1)["workers"])
    except (OSError, ValueError, TypeError) as error:
        reason = " ".join(str(error).split())
        raise ServiceError(
            f"scheduler: no Dask scheduler at {options.scheduler}: {reason}"
        ) from None
    if not count:
        raise ServiceError(f"scheduler: {options.scheduler} has no worker; start `dask worker`s")
    return options.parallel or count


def _check_reach(scheduler: str, remote: str | None) -> None:
    """Workers on other machines see neither this machine's files nor its loopback address."""
    if _is_here(scheduler):
        return
    findings = []
    if _is_here(get_current_settings().api.url):
        findings.append("PREFECT_API_URL: workers on other machines must reach the Prefect server")
    if _is_here(store.tracking_uri()):
        findings.append("MLFLOW_TRACKING_URI: workers on other machines need a tracking server")
    if remote is None:
        findings.append("remote: workers on other machines need a DVC remote for the splits")
    if findings:
        raise UsageError(*findings)


def _is_here(address: str | None) -> bool:
    """Whether only this machine understands the address; None is a server of the flow's own."""
    if address is None or address.startswith("sqlite:"):
        return True
    return address.rpartition("://")[2].startswith(LOOPBACK)
