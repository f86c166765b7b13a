"""Flow runs on a real worker: several at once, cancelled, and killed at any moment."""

import shutil
import subprocess
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any
from uuid import UUID

import psutil
import pytest
from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import FlowRun, State
from prefect.deployments import run_deployment
from prefect.states import Cancelling
from small_project import Project, run
from support import has_ended, until

pytestmark = [pytest.mark.slow]

PREFECT = (sys.executable, "-m", "prefect")


class Worker:
    """A worker process, started as `make up` starts it."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._process: subprocess.Popen[bytes] | None = None

    def ensure(self) -> None:
        """Start a worker if none runs."""
        if self._process is not None and self._process.poll() is None:
            return
        command = [*PREFECT, "worker", "start", "--pool", "local", "--name", "local"]
        with (self._root.parent / "worker.log").open("ab") as log:
            self._process = subprocess.Popen(command, cwd=self._root, stdout=log, stderr=log)

    def stop(self) -> None:
        """End it."""
        assert self._process is not None
        self._process.terminate()
        self._process.wait(60)


def submit(**parameters: Any) -> UUID:
    """Schedule a run of train/local."""
    flow_run = run_deployment("train/local", parameters=parameters, timeout=0, as_subflow=False)
    assert isinstance(flow_run, FlowRun)
    return flow_run.id


def flow_process(stage: psutil.Process) -> psutil.Process:
    """The process of the flow run that started the stage."""
    return next(p for p in stage.parents() if "prefect.engine" in p.cmdline())


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


def running_stages(project: Project) -> list[psutil.Process]:
    """The processes of stages that started and live."""
    pids = [int(words[1]) for words in project.log()]
    return [psutil.Process(pid) for pid in pids if not has_ended(pid)]


def sleeping_stage(project: Project) -> psutil.Process:
    """The process of the stage train@mlp, once it sleeps."""
    assert until(lambda: running_stages(project) != [], seconds=240)
    assert until(lambda: project.ran()[-1] == "train-mlp", seconds=240)
    return running_stages(project)[-1]


@pytest.fixture(scope="module")
def deployment(
    template: Path, tmp_path_factory: pytest.TempPathFactory, prefect_server: str
) -> Iterator[tuple[Project, Worker]]:
    """The small project, up to date, with its deployments registered and a worker."""
    folder = tmp_path_factory.mktemp("deployed")
    root, control = folder / "project", folder / "control"
    shutil.copytree(template, root)
    control.mkdir()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CONTROL", str(control))
        patch.setenv("PREFECT_API_URL", prefect_server)
        patch.setenv("PREFECT_HOME", str(folder / "prefect"))
        run(*PREFECT, "work-pool", "create", "local", "--type", "process", cwd=root)
        run(*PREFECT, "deploy", "--all", cwd=root)
        project, worker = Project(root, control), Worker(root)
        project.dvc("repro", "-q")
        worker.ensure()
        yield project, worker
        worker.stop()


@pytest.fixture
def deployed(deployment: tuple[Project, Worker]) -> Project:
    """The deployed project, with a worker and no slow stage."""
    project, worker = deployment
    project.works()
    worker.ensure()
    return project


def test_three_runs_with_different_overrides_at_once_make_three_experiments_and_touch_nothing(
    deployed: Project,
) -> None:
    before, noted = deployed.files(), len(deployed.log("end"))
    runs = [submit(overrides={"train.mlp.fit.epochs": epochs}) for epochs in (2, 3, 4)]
    assert all(list(map(completes, runs)))
    assert deployed.files() == before
    assert len(deployed.dvc("exp", "list", "--name-only").split()) == 3
    ends = [words for words in deployed.log("end")[noted:] if words[0] == "train-mlp"]
    assert {flow_run for *_, flow_run in ends} == set(map(str, runs))


def cancel(flow_run_id: UUID) -> None:
    """As `prefect flow-run cancel` does."""
    with get_client(sync_client=True) as client:
        client.set_flow_run_state(flow_run_id, Cancelling())


def test_a_cancelled_or_killed_run_leaves_no_process_and_does_not_hinder_the_next(
    deployment: tuple[Project, Worker], deployed: Project
) -> None:
    deployed.sleeps("train-mlp", 600)
    ended = []
    for victim in ("run", "stage", "flow", "worker"):
        ended.append(submit(targets=["train@mlp"], force=True))
        stage = sleeping_stage(deployed)
        flow = flow_process(stage)
        worker = flow.parents()[0]
        {
            "run": lambda: cancel(ended[-1]),
            "stage": stage.kill,
            "flow": flow.kill,
            "worker": worker.kill,
        }[victim]()
        assert until(lambda: running_stages(deployed) == [], seconds=30), victim
        assert until(partial(has_ended, flow.pid), seconds=60), victim
        deployment[1].ensure()
    deployed.works()
    assert completes(submit())
    states = [state_of(flow_run) for flow_run in ended]
    assert states[0].name == "Cancelled"
    assert all(state.is_final() for state in states), states
