"""Stages on workers that share no folder with the project: of a Dask cluster, of a work pool."""

import json
import os
import shutil
import signal
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path

import httpx
import psutil
import pytest
import yaml
from distributed import Client
from flows.team.programs import PATIENT
from mlflow import MlflowClient
from prefect.client.orchestration import get_client
from prefect.client.schemas.actions import WorkPoolCreate
from prefect.client.schemas.filters import FlowFilter, FlowFilterName
from prefect.client.schemas.sorting import FlowRunSort
from services import Cluster, answers, free_port, running
from small_project import Project, run
from support import has_ended, until

from digits.core import errors
from digits.core.cluster import connected
from digits.core.dispatch import run_on_worker
from digits.core.errors import ServiceError
from digits.core.remote import fetch_result, push_result
from flows.support import commands
from flows.train import train

pytestmark = pytest.mark.slow

WHERE = {"train": "dask", "prepare": "dask"}


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """Two workers, each in an empty folder; stages note in `control` that they ran."""
    folder = tmp_path_factory.mktemp("cluster")
    (folder / "control").mkdir()
    os.environ["CONTROL"] = str(folder / "control")
    with started(folder, "worker-0", "worker-1") as cluster:
        yield cluster
        del os.environ["CONTROL"]


@contextmanager
def started(folder: Path, *names: str) -> Iterator[Cluster]:
    """A cluster whose workers have these names."""
    port = free_port()
    address = f"tcp://127.0.0.1:{port}"
    dask = Path(sys.executable).with_name("dask")
    with ExitStack() as stack:

        def start(name: str, *arguments: str) -> psutil.Popen:
            command = (dask, *arguments, "--host", "127.0.0.1", "--no-dashboard")
            empty = {"MLFLOW_TRACKING_URI": ""}  # as good as not set
            return stack.enter_context(running(*command, cwd=folder / name, env=empty))

        scheduler = start("scheduler", "scheduler", "--port", str(port))
        nanny = ("--nthreads", "1", "--death-timeout", "600")
        workers = [start(name, "worker", address, *nanny) for name in names]
        assert until(lambda: answers(port), seconds=120)
        with Client(address, set_as_default=False) as client:
            client.wait_for_workers(len(workers), timeout=120)
        yield Cluster(address, scheduler, workers)
        for worker in workers:
            worker.kill()


@pytest.fixture
def project(
    dvc_project: Project,
    cluster: Cluster,
    tmp_path: Path,
    prefect_server: str,
    monkeypatch: pytest.MonkeyPatch,
) -> Project:
    """The small project, pushed to a bare repository, with a remote that others reach.

    It has one model: a stage on a worker takes seconds.
    """
    control = cluster_control(cluster)
    for path in control.iterdir():
        path.unlink()
    monkeypatch.setenv("CONTROL", str(control))
    monkeypatch.setenv("DIGITS_DASK_SCHEDULER", cluster.address)
    project = Project(dvc_project.root, control)
    stages = (project.root / "dvc.yaml").read_text()
    one = stages.replace("[mlp, cnn]", "[mlp]").replace(", artifacts/train-cnn.txt", "")
    (project.root / "dvc.yaml").write_text(one)
    project.git("commit", "-qam", "one model")
    project.git("clone", "-q", "--bare", ".", str(tmp_path / "origin.git"))
    project.git("remote", "add", "origin", str(tmp_path / "origin.git"))
    use_remote(project, tmp_path)
    return project


def use_remote(project: Project, tmp_path: Path) -> None:
    """As `dvc remote add --local --default` does."""
    text = f"[core]\n    remote = team\n['remote \"team\"']\n    url = {tmp_path}/remote\n"
    (project.root / ".dvc" / "config.local").write_text(text)


def cluster_control(cluster: Cluster) -> Path:
    return Path(cluster.scheduler.cwd()).parent / "control"


def outputs(root: Path) -> dict[str, list[str]]:
    """The hashes that dvc.lock records, by stage."""
    stages = yaml.safe_load((root / "dvc.lock").read_text())["stages"]
    return {name: [out["md5"] for out in stage["outs"]] for name, stage in stages.items()}


def statuses(store: Path) -> list[str]:
    """Of the MLflow runs in a store."""
    client = MlflowClient(f"sqlite:///{store}")
    experiments = [found.experiment_id for found in client.search_experiments()]
    return [run.info.status for run in client.search_runs(experiments)]


def origin(project: Project) -> Path:
    return Path(project.git("remote", "get-url", "origin").strip())


def test_stages_run_once_anywhere_even_if_a_worker_is_killed_and_give_what_they_give_here(
    project: Project,
    cluster: Cluster,
    tmp_path: Path,
    migrated: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    here = Project(tmp_path / "here", tmp_path / "nowhere")
    shutil.copytree(project.root, here.root)
    project.set_epochs("mlp", 3)  # params that no commit has
    project.sleeps("train-mlp", 600)
    project.tracks("train-mlp", ends_in=10)
    store = shutil.copy(migrated, project.root / "mlflow.db")
    everywhere = dict.fromkeys(("prepare", "train", "compare"), "dask")
    flow_run = ThreadPoolExecutor(1).submit(train, where=everywhere, return_state=True)
    assert until(lambda: bool(project.log("tracked")), seconds=240)
    stage = psutil.Process(int(project.log()[-1][1]))
    project.works()
    parents = {parent.pid for parent in stage.parents()}
    victim = next(worker for worker in cluster.workers if worker.pid in parents)
    kill_children(victim)
    state = flow_run.result(240)
    assert state.is_completed(), state.message
    assert until(lambda: has_ended(stage.pid))
    assert statuses(store) == ["KILLED"]
    assert project.ran() == ["prepare", "train-mlp", "train-mlp", "compare"]

    shutil.copy("params.yaml", here.root)
    monkeypatch.setenv("CONTROL", "/nowhere")
    here.dvc("repro", "-q")
    assert outputs(here.root) == outputs(project.root)

    clone = Project(tmp_path / "clone", project.control)
    run("git", "clone", "-q", str(origin(project)), str(clone.root), cwd=tmp_path)
    use_remote(clone, tmp_path)
    shutil.copy("params.yaml", clone.root)
    monkeypatch.setenv("CONTROL", str(project.control))
    monkeypatch.chdir(clone.root)
    state = train(where=everywhere, pull=True, return_state=True)
    assert state.message == "1 ran, 3 cached"  # the pull
    assert len(project.ran()) == 4
    assert outputs(clone.root) == outputs(project.root)


def kill_children(nanny: psutil.Popen) -> None:
    """Kill the worker of a nanny, which then starts another one."""
    for child in nanny.children():
        child.kill()


def sleep_on_worker(client: Client, lines: list[str], check: Callable[[float], None]) -> None:
    """Run a long command on a worker; the first line is its process id."""
    run_on_worker(
        client,
        lambda command, commands, on_line: commands.run(command, on_line=on_line),
        ["sh", "-c", "echo $$; exec sleep 600"],
        on_line=lines.append,
        check=check,
    )


def test_what_is_given_up_ends_on_its_worker(cluster: Cluster) -> None:
    lines: list[str] = []

    def check(seconds: float) -> None:
        time.sleep(seconds)
        if lines:
            raise TimeoutError

    with connected(cluster.address) as client, pytest.raises(TimeoutError):
        sleep_on_worker(client, lines, check)
    [pid] = map(int, lines)
    assert until(lambda: has_ended(pid), seconds=60)


def test_what_runs_on_a_worker_ends_when_the_scheduler_is_lost(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """Else it would run beside the same work on another worker."""
    lines: list[str] = []
    ended_after_s = 0.0

    def check(seconds: float) -> None:
        nonlocal ended_after_s
        time.sleep(seconds)
        if lines and scheduler.is_running():
            scheduler.kill()
            scheduler.wait()
            lost = time.monotonic()
            assert until(lambda: has_ended(int(lines[0])), seconds=60)
            ended_after_s = time.monotonic() - lost

    with started(tmp_path, "worker") as cluster, connected(cluster.address) as client:
        scheduler = cluster.scheduler
        with pytest.raises(ServiceError, match="is gone"):
            sleep_on_worker(client, lines, check)
    assert ended_after_s < 20, "so long Dask waits for work that runs"
    assert capfd.readouterr().err == ""


def test_a_cluster_whose_workers_are_all_gone_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    [setting] = PATIENT
    monkeypatch.setenv(setting, "1s")
    with started(tmp_path, "worker") as cluster, connected(cluster.address) as client:
        [worker] = cluster.workers
        worker.kill()  # a nanny
        with pytest.raises(ServiceError, match="has no worker"):
            sleep_on_worker(client, [], time.sleep)


def test_code_that_no_worker_can_get_is_named_before_it_runs(project: Project) -> None:
    (project.root / "raw.txt").write_text("changed")
    state = train(["prepare"], where=WHERE, return_state=True)
    assert state.message == "prepare: raw.txt: not committed; workers get committed code only"
    project.git("commit", "-qam", "changed")
    head = project.git("rev-parse", "HEAD").strip()
    state = train(["prepare"], where=WHERE, return_state=True)
    [told] = [line for line in str(state.message).splitlines() if "does not have it" in line]
    assert told == f"error: commit {head}: {origin(project)} does not have it; " + (
        "`git push` brings it there"
    )
    assert project.ran() == []


def test_a_remote_that_is_lost_is_named(
    project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(commands, "RETRIES_AFTER_S", (0.1, 0.1))
    (tmp_path / "remote").write_text("no folder")
    state = train(["prepare"], where=WHERE, return_state=True)
    assert "prepare remote team: dvc push" in str(state.message)
    assert project.ran() == []


def test_a_result_waits_on_its_worker_for_a_remote_that_is_away(
    project: Project, tmp_path: Path
) -> None:
    project.sleeps("prepare", 5)
    set_seed(99)  # new to the workers
    flow_run = ThreadPoolExecutor(1).submit(train, ["prepare"], where=WHERE, return_state=True)
    assert until(lambda: project.ran() == ["prepare"], seconds=240)
    with away(tmp_path / "remote"):
        assert until(lambda: len(project.log("end")) == 1, seconds=60)
        time.sleep(5)
    state = flow_run.result(240)
    assert state.is_completed(), state.message
    assert project.ran() == ["prepare"]


def test_a_stage_whose_inputs_change_while_it_runs_is_run_again_with_these(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(commands, "RETRIES_AFTER_S", (0.1, 0.1))
    project.sleeps("prepare", 2)
    set_seed(100)
    flow_run = ThreadPoolExecutor(1).submit(train, ["prepare"], where=WHERE, return_state=True)
    assert until(lambda: project.ran() == ["prepare"], seconds=240)
    set_seed(101)
    state = flow_run.result(240)
    assert state.is_completed(), state.message
    assert json.loads(Path("artifacts/prepare.txt").read_text())[1] == 101


def set_seed(seed: int) -> None:
    values = yaml.safe_load(Path("params.yaml").read_text())
    Path("params.yaml").write_text(yaml.safe_dump(values | {"seed": seed}))


@contextmanager
def away(remote: Path) -> Iterator[None]:
    """A file is where the folder of the remote was."""
    kept = remote.rename(f"{remote}-kept")
    remote.write_text("no folder")
    yield
    remote.unlink()
    kept.rename(remote)


def test_what_can_be_known_is_told_before_any_work(project: Project) -> None:
    with (project.root / ".dvc" / "config.local").open("a") as config:
        config.write("['remote \"near\"']\n    url = ../store\n")
    cases: list[tuple[str, dict[str, str], str]] = [
        ("", {"tain": "dask"}, "where: 'tain' is no stage; there are prepare, train, "),
        ("", {"train": "nowhere"}, "where: 'nowhere' is neither `dask` nor a work pool"),
        ("remote = near", WHERE, "remote: 'near' is a folder of this project"),
        ("# none", WHERE, "remote: 'no default' is not one of"),
        ("git remote remove origin", WHERE, "origin: git has no such remote"),
    ]
    for change, where, message in cases:
        if change.startswith("git"):
            run(*change.split(), cwd=project.root)
        elif change:
            set_default_remote(project, change)
        state = train(where=where, return_state=True)
        assert message in str(state.message)
        assert len(str(state.message).splitlines()) == 1
    assert project.ran() == []


def set_default_remote(project: Project, line: str) -> None:
    config = project.root / ".dvc" / "config.local"
    first, _, *others = config.read_text().splitlines()
    config.write_text("\n".join([first, f"    {line}", *others, ""]))


@pytest.fixture
def pool(project: Project, prefect_server: str, tmp_path: Path) -> Iterator[Path]:
    """The folder, empty at first, of a worker of the work pool `far`."""
    with get_client(sync_client=True) as client:
        client.create_work_pool(WorkPoolCreate(name="far", type="process"), overwrite=True)
    home = tmp_path / "far"
    env = {"PREFECT_API_URL": prefect_server, "PREFECT_HOME": str(tmp_path / "prefect")}
    env |= {"PREFECT_WORKER_QUERY_SECONDS": "1"}
    with running(sys.executable, "-m", "prefect", "worker", "start", "--pool", "far",
                 cwd=home, env=env):  # fmt: skip
        yield home


def test_a_work_pool_runs_stages_too(
    project: Project, pool: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(commands, "RETRIES_AFTER_S", (0.1, 0.1))
    project.fails_with("train-mlp", 4)  # so that it is tried again
    project.fails("train-mlp")
    state = train(["train@mlp"], where={"train": "far"}, return_state=True)
    assert str(state.message).startswith("train@mlp ended with 3")
    assert "error: no disk left on the moon" in str(state.message)

    project.works()
    lose_answers(monkeypatch)
    state = train(["train@mlp"], where={"train": "far"}, return_state=True)
    assert state.is_completed(), state.message
    assert project.ran() == ["prepare", *["train-mlp"] * 3]
    assert pool_states("train@mlp") == ["Exit 4", "Exit 3", "Completed"]


INTERRUPTIBLE = """
import signal

from flows.support import lifecycle
from flows.train import train

signal.signal(signal.SIGINT, signal.default_int_handler)  # which background jobs ignore
lifecycle.run_as_program(lambda: train(["prepare"], where={"prepare": "far"}, return_state=True))
"""


def test_ctrl_c_ends_a_stage_in_a_work_pool(
    project: Project, pool: Path, prefect_server: str
) -> None:
    project.sleeps("prepare", 600)
    program = (sys.executable, "-c", INTERRUPTIBLE)
    with running(*program, cwd=project.root, env={"PREFECT_API_URL": prefect_server}) as flow:
        assert until(lambda: project.ran() == ["prepare"], seconds=240)
        flow.send_signal(signal.SIGINT)
        assert flow.wait(30) == 128 + signal.SIGINT
    [[_, pid, *_]] = project.log()
    assert until(lambda: has_ended(int(pid)), seconds=30)
    assert until(lambda: pool_states("prepare") == ["Cancelled"], seconds=30)


def pool_states(stage: str) -> list[str | None]:
    """The names of the states of the stage's runs in work pools, oldest first."""
    flows = FlowFilter(name=FlowFilterName(any_=["stage"]))
    with get_client(sync_client=True) as client:
        found = client.read_flow_runs(flow_filter=flows, sort=FlowRunSort.EXPECTED_START_TIME_ASC)
    return [run.state_name for run in found if run.name.startswith(f"{stage} of ")]


def lose_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    """From now on each first answer to one who schedules a flow run is lost on its way."""
    send, lost = httpx.HTTPTransport.handle_request, set[bytes]()

    def lose(transport: httpx.HTTPTransport, request: httpx.Request) -> httpx.Response:
        answer, body = send(transport, request), request.content
        if request.url.path.endswith("/create_flow_run") and body not in lost:
            lost.add(body)
            raise httpx.ReadError("the connection was reset", request=request)
        return answer

    monkeypatch.setattr(httpx.HTTPTransport, "handle_request", lose)


def test_a_changed_stage_that_ran_here_before_has_no_result_yet(
    dvc_project: Project, tmp_path: Path
) -> None:
    use_remote(dvc_project, tmp_path)
    dvc_project.dvc("repro", "-q", "train@mlp")
    dvc_project.set_epochs("mlp", 3)
    assert not fetch_result(dvc_project.root, "train@mlp")


def test_a_result_is_found_though_dvc_lock_records_another_one_that_nobody_has(
    dvc_project: Project, tmp_path: Path
) -> None:
    use_remote(dvc_project, tmp_path)
    dvc_project.dvc("repro", "-q", "train@mlp")
    recorded = outputs(dvc_project.root)["train@mlp"]
    lock = dvc_project.root / "dvc.lock"
    for number, md5 in enumerate(recorded):
        lock.write_text(lock.read_text().replace(md5, f"{number:a>32}"))
    (dvc_project.root / "artifacts/train-mlp.txt").unlink()
    assert fetch_result(dvc_project.root, "train@mlp")
    assert "didn't change" in dvc_project.dvc("repro", "--single-item", "train@mlp")
    assert outputs(dvc_project.root)["train@mlp"] == recorded


def test_a_remote_that_stays_away_is_named_after_one_line_that_says_the_wait(
    dvc_project: Project,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    use_remote(dvc_project, tmp_path)
    dvc_project.dvc("repro", "-q", "train@mlp")
    monkeypatch.setattr(errors, "PATIENCE_S", 3)
    (tmp_path / "remote").write_text("no folder")
    with pytest.raises(ServiceError, match=f"remote {tmp_path}/remote: "):
        errors.patiently(lambda: push_result(dvc_project.root, "train@mlp"))
    [warning] = [line for line in capfd.readouterr().err.splitlines() if "for up to 3 s" in line]
    assert warning.startswith(f"warning: remote {tmp_path}/remote: ")
