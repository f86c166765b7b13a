"""Where stages run on workers: on a Dask cluster, or in a work pool of the Prefect server."""

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import urlsplit
from uuid import UUID

import httpx
from prefect import flow, get_run_logger, runtime
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.objects import FlowRun, State, VersionInfo
from prefect.deployments import run_deployment
from prefect.events.filters import EventFilter, EventNameFilter, EventResourceFilter
from prefect.exceptions import ObjectNotFound
from prefect.settings import get_current_settings
from prefect.states import Cancelling, Completed, Crashed, Failed, Scheduled
from prefect.types.entrypoint import EntrypointType
from prefect.workers.process import ProcessWorker

from digits import params
from digits.core import process, system
from digits.core.cluster import connected, is_here
from digits.core.commands import CommandFailedError, Commands
from digits.core.dispatch import OnLine, run_on_worker
from digits.core.errors import ServiceError, UsageError
from digits.core.pipeline import stage_names
from digits.running.elsewhere import Work, run_here
from digits.tracking import store
from flows.support.forms import VERSION

DASK = "dask"
SCHEDULER = "DIGITS_DASK_SCHEDULER"
POLL_S = 2.0
EXIT = "Exit "  # the start of a failed run's name, before its exit code: the server keeps no data
HEARTBEAT_S = 30  # Prefect allows no less
LOST_AFTER_S = 4 * HEARTBEAT_S


class Place(Protocol):
    """Where stages run."""

    def run(self, work: Work, *, on_line: OnLine, check: Callable[[float], None]) -> None:
        """Run one to its end.

        Args:
            work: The stage.
            on_line: Gets what it prints, unless it has a log of its own.
            check: Waits this many seconds; raises an error to end the stage.
        """


@contextmanager
def opened(root: Path, where: Mapping[str, str]) -> Iterator[dict[str, Place]]:
    """Connect to the places that `where` names.

    Raises:
        UsageError: it names no stage or no place, or workers could not reach the tracking store.
        ServiceError: a place does not answer.
    """
    known = stage_names(root) if where else []
    if unknown := [key for key in where if key not in known]:
        allowed = ", ".join(known)
        raise UsageError(*(f"where: {key!r} is no stage; there are {allowed}" for key in unknown))
    pools = {*where.values()} - {DASK}
    with ExitStack() as stack:
        places: dict[str, Place] = {}
        if pools:
            client = stack.enter_context(get_client(sync_client=True))
            check_tracking(get_current_settings().api.url)
            places |= {name: Pool(name, client) for name in sorted(pools)}
        if DASK in where.values():
            if not (address := os.environ.get(SCHEDULER)):
                raise UsageError(f"where: dask: {SCHEDULER} is not set; it names the scheduler")
            check_tracking(address)
            places[DASK] = Dask(address)
        yield places


class Dask:
    """A Dask cluster as a place."""

    def __init__(self, address: str) -> None:
        """Check that the scheduler at this address has workers; raises as `connected`."""
        self._address = address
        with connected(address):
            pass

    def run(self, work: Work, *, on_line: OnLine, check: Callable[[float], None]) -> None:
        """Run a stage on a worker."""
        with connected(self._address) as client:  # anew: the scheduler may have been away
            run_on_worker(client, run_here, work, on_line=on_line, check=check)


class Pool:
    """A work pool of the Prefect server as a place: process, Docker or Kubernetes."""

    def __init__(self, name: str, client: SyncPrefectClient) -> None:
        """Register the deployment `stage/<project>-<pool>`, which runs there.

        Raises:
            UsageError: there is no such pool.
        """
        self._client = client
        variables: dict[str, Any] = {"env": {"PREFECT_FLOWS_HEARTBEAT_FREQUENCY": str(HEARTBEAT_S)}}
        try:
            if client.read_work_pool(name).type == ProcessWorker.type:
                variables["working_dir"] = "."  # the worker's folder, not a temporary one
        except ObjectNotFound:
            raise UsageError(
                f"where: {name!r} is neither `dask` nor a work pool of the Prefect server"
            ) from None
        made: Any = run_stage.to_deployment(
            f"{params.project().name}-{name}",
            entrypoint_type=EntrypointType.MODULE_PATH,
            job_variables=variables,
        )
        # else Prefect also sends the address of git's remote, and the password in it
        version = VersionInfo(type="prefect:simple", version=VERSION or "")
        made.apply(work_pool_name=name, version_info=version)
        self._deployment = made.full_name

    def run(self, work: Work, *, on_line: OnLine, check: Callable[[float], None]) -> None:
        """Run a stage on a worker; without heartbeats of the worker, it has crashed."""
        scheduled = run_deployment(
            self._deployment,
            parameters={"work": work.model_dump()},
            flow_run_name=f"{work.stage} of {runtime.flow_run.name}",
            timeout=0,
            as_subflow=False,
            # the client sends a request again that got no answer; a task's retry is another run
            idempotency_key=f"{runtime.task_run.id}-{runtime.task_run.run_count}",
        )
        assert isinstance(scheduled, FlowRun)
        on_line(f"its log is that of the flow run {scheduled.name}")
        state: State[Any] = Scheduled()
        try:
            while not state.is_final():
                check(POLL_S)
                with suppress(httpx.HTTPError):  # while the server is away, the stage goes on
                    state = self._state(scheduled.id)
        except BaseException:
            with suppress(httpx.HTTPError):  # why it ends is said, not that the server is away
                self._client.set_flow_run_state(scheduled.id, Cancelling())
            raise
        if not state.is_completed():
            lines = (state.message or str(state.name)).splitlines()
            raise CommandFailedError(*lines, code=_exit_code(state))

    def _state(self, flow_run_id: UUID) -> State[Any]:
        flow_run = self._client.read_flow_run(flow_run_id)
        state = flow_run.state
        assert state is not None
        if state.is_running() and self._is_lost(flow_run):
            state = Crashed(message=f"its worker sent no heartbeat for {LOST_AFTER_S} s")
            self._client.set_flow_run_state(flow_run_id, state, force=True)
        return state

    def _is_lost(self, flow_run: FlowRun) -> bool:
        limit = datetime.now(UTC) - timedelta(seconds=LOST_AFTER_S)
        if flow_run.start_time is None or flow_run.start_time > limit:
            return False
        beats = self._client.read_events(
            EventFilter(
                event=EventNameFilter(name=["prefect.flow-run.heartbeat"]),
                resource=EventResourceFilter(id=[f"prefect.flow-run.{flow_run.id}"]),
            ),
            limit=1,
        ).events
        return not beats or beats[0].occurred < limit


@flow(name="stage")
def run_stage(work: dict[str, Any]) -> State[None]:
    """Run one stage for a flow run elsewhere; see `digits.running.elsewhere`."""
    process.set_environment()
    if process.flow_run():  # a worker started it
        system.die_with_parent()
    commands = Commands()
    try:
        run_here(Work.model_validate(work), commands, get_run_logger().info)
    except CommandFailedError as error:
        return Failed(name=f"{EXIT}{error.code}", message=str(error))
    finally:
        commands.stop()
    return Completed()


def _exit_code(state: State[Any]) -> int:
    if state.is_crashed():  # with its worker: another one may do better
        return ServiceError.exit_code
    code = (state.name or "").removeprefix(EXIT)
    return int(code) if code.isdecimal() else 1


def check_tracking(place: str | None) -> None:
    """Check that workers of the server at the address `place` may reach MLflow.

    Raises:
        UsageError: only this machine understands MLflow's address, or it holds a password.
    """
    address = store.tracking_uri()
    if is_here(address) and not is_here(place):
        raise UsageError("MLFLOW_TRACKING_URI: workers on other machines need a tracking server")
    if urlsplit(address).password:
        raise UsageError(
            "MLFLOW_TRACKING_URI: holds a password, which is never sent to workers;"
            " set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD here and on each worker"
        )
