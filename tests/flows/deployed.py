"""A worker, and flow runs that it is sent, as the tests see them."""

import os
import subprocess
import sys
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any
from uuid import UUID

import psutil
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import LogFilter, LogFilterFlowRunId
from prefect.client.schemas.objects import FlowRun, State
from prefect.deployments import run_deployment
from small_project import Project
from support import has_ended, until

PREFECT = (sys.executable, "-m", "prefect")


class Worker:
    """A worker process, started as `make up` starts it."""

    def __init__(self, root: Path, env: Mapping[str, str]) -> None:
        self._root = root
        self._env = {**os.environ, "PREFECT_WORKER_QUERY_SECONDS": "1", **env}
        self._process: subprocess.Popen[bytes] | None = None

    def ensure(self) -> None:
        """Start a worker if none runs."""
        if self._process is not None and self._process.poll() is None:
            return
        command = [*PREFECT, "worker", "start", "--pool", "digits"]
        with (self._root.parent / "worker.log").open("ab") as log:
            self._process = subprocess.Popen(
                command, cwd=self._root, env=self._env, stdout=log, stderr=log
            )

    def stop(self) -> None:
        """End it as `make down` does: honcho kills what does not end in time."""
        assert self._process is not None
        self._process.terminate()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait(30)

    def flows(self) -> list[psutil.Process]:
        """The processes of the flow runs that it started."""
        assert self._process is not None
        with suppress(psutil.NoSuchProcess):
            started = psutil.Process(self._process.pid).children()
            return [p for p in started if not has_ended(p.pid)]
        return []


def submit(deployment: str = "train/digits", /, **parameters: Any) -> UUID:
    """Schedule a run of a deployment."""
    flow_run = run_deployment(deployment, parameters=parameters, timeout=0, as_subflow=False)
    assert isinstance(flow_run, FlowRun)
    return flow_run.id


def state_of(flow_run_id: UUID) -> State[Any]:
    """Its state now."""
    with get_client(sync_client=True) as client:
        state = client.read_flow_run(flow_run_id).state
    assert state is not None
    return state


def completes(flow_run_id: UUID) -> bool:
    """Whether the run ends well."""
    assert until(lambda: state_of(flow_run_id).is_final(), seconds=240)
    return state_of(flow_run_id).is_completed()


def log_of(flow_run_id: UUID) -> str:
    """What Prefect's UI shows as the log of a flow run."""
    only = LogFilter(flow_run_id=LogFilterFlowRunId(any_=[flow_run_id]))
    with get_client(sync_client=True) as client:
        return "\n".join(line.message for line in client.read_logs(only))


def running_stages(project: Project) -> list[psutil.Process]:
    """The processes of stages that started and live."""
    pids = [int(words[1]) for words in project.log()]
    return [psutil.Process(pid) for pid in pids if not has_ended(pid)]
