"""SIGKILL at random moments, through the real server and worker."""

import itertools
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from uuid import UUID

import psutil
import pytest
from deployed import Worker, completes, running_stages, state_of, submit
from intruder import foreign, statuses
from mlflow import MlflowClient
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterId
from prefect.client.schemas.objects import State
from services import answers
from small_project import Project
from support import REPOSITORY, has_ended, until

pytestmark = [pytest.mark.slow]


def running_tasks(*flow_runs: UUID) -> list[str]:
    """The names of the tasks of these flow runs that seem to run, or to wait."""
    only = FlowRunFilter(id=FlowRunFilterId(any_=list(flow_runs)))
    with get_client(sync_client=True) as client:
        found = client.read_task_runs(flow_run_filter=only)
    return [run.name for run in found if run.state is None or not is_over(run.state)]


def is_over(state: State) -> bool:
    return state.is_final() or state.name == "NotReady"


def running_runs(project: Project) -> list[str]:
    """The names of the MLflow runs that seem to run."""
    client = MlflowClient(f"sqlite:///{project.root}/mlflow.db")
    experiments = [found.experiment_id for found in client.search_experiments()]
    running = client.search_runs(experiments, "attributes.status = 'RUNNING'")
    return [run.info.run_name for run in running]


def moments(count: int) -> list[tuple[str, float]]:
    """Whom to kill, and how many seconds after it could be killed first."""
    drawn = random.Random(4)
    victims = itertools.cycle(("worker", "flow", "stage"))
    return [(victim, round(drawn.uniform(0, 12), 1)) for victim in itertools.islice(victims, count)]


def victims(worker: Worker, project: Project, kind: str) -> list[psutil.Process]:
    """Those of a kind that live now."""
    if kind == "stage":
        return running_stages(project)
    return [worker.process] if kind == "worker" else worker.flows()


@pytest.mark.parametrize(("kind", "seconds"), moments(int(os.environ.get("DIGITS_KILLS", "3"))))
def test_after_a_kill_at_a_random_moment_a_rerun_completes_and_nothing_is_left_running(
    deployment: tuple[Project, Worker], deployed: Project, kind: str, seconds: float
) -> None:
    """Three moments of one fixed sequence; more with `DIGITS_KILLS=10 pytest FILE -k random`."""
    worker = deployment[1]
    deployed.tracks("train-mlp")
    for stage in ("prepare", "train-mlp", "compare"):
        deployed.sleeps(stage, 4)
    killed = submit(force=True)
    assert until(lambda: victims(worker, deployed, kind) != [], seconds=240)
    time.sleep(seconds)
    assert until(lambda: victims(worker, deployed, kind) != [], seconds=240)
    victim = victims(worker, deployed, kind)[-1]
    victim.kill()
    victim.wait(30)
    deployed.works()
    deployed.tracks("train-mlp")
    worker.ensure()
    again = submit(force=True)
    assert completes(again)
    assert until(lambda: not state_of(killed).is_running(), seconds=60)
    # the server learns of tasks a little later
    assert until(lambda: running_tasks(killed, again) == [], seconds=60)
    assert running_runs(deployed) == []
    assert running_stages(deployed) == []
    assert deployed.dvc("status").strip() == "Data and pipelines are up to date."


def test_the_tasks_of_a_killed_run_end_though_its_worker_called_it_crashed_before(
    deployment: tuple[Project, Worker], deployed: Project
) -> None:
    worker = deployment[1]
    deployed.sleeps("prepare", 60)
    killed = submit(force=True)
    assert until(lambda: running_stages(deployed) and running_tasks(killed), seconds=240)
    worker.flows()[-1].kill()
    assert until(lambda: state_of(killed).is_crashed(), seconds=60)
    deployed.works()
    assert completes(submit())
    assert until(lambda: running_tasks(killed) == [], seconds=20)


def test_the_server_of_a_flows_own_answers_no_other_page_and_ends_with_it_however_it_ends(
    project: Project, tmp_path: Path
) -> None:
    other = shutil.copytree(project.root, tmp_path / "other")
    env = {name: value for name, value in os.environ.items() if not name.startswith("PREFECT_")}
    project.sleeps("prepare", 600)
    programs = []
    for root in (project.root, other):
        shutil.copy(REPOSITORY / "prefect.toml", root)
        command = [sys.executable, "-m", "flows.train"]
        programs.append(psutil.Popen(command, cwd=root, env=env, stderr=subprocess.DEVNULL))
    assert until(lambda: len(project.log()) == 2, seconds=240)
    for program, signum in zip(programs, (signal.SIGTERM, signal.SIGKILL), strict=True):
        started = program.children(recursive=True)
        sockets = [socket for process in started for socket in process.net_connections()]
        [port] = {socket.laddr.port for socket in sockets if socket.status == "LISTEN"}
        for headers in foreign(port):
            assert statuses(port, [("POST", "/api/flows/")], **headers).keys() == {403}
        program.send_signal(signum)
        assert program.wait(60) == -signum
        assert until(lambda: all(has_ended(process.pid) for process in started))  # noqa: B023
        assert not answers(port)
