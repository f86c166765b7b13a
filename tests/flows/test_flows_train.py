"""The `train` flow on a small project: which stages run, when, and how it ends."""

import os
import shutil
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import psutil
import pytest
from deployed import failure, log_of, tasks_of
from helpers import answers, finding, free_port, has_ended, python, served, until
from intruder import foreign, statuses
from prefect.settings import PREFECT_API_URL, temporary_settings
from support import REPOSITORY

from imageproof.base.errors import ServiceError
from imageproof.base.files import read_yaml
from imageproof.prefect import _stages
from imageproof.prefect.server import ensure_server
from train import train

pytestmark = pytest.mark.usefixtures("prefect_server")


def test_train_runs_what_changed(team):
    team.set_epochs("mlp", 2)
    state = train(return_state=True)
    assert state.message == "2 ran, 2 cached"
    assert team.ran() == ["train-mlp", "compare"]
    # the server learns of them a little later
    tasks = {"prepare", "train@mlp", "train@cnn", "compare"}
    assert until(lambda: tasks_of(state.state_details.flow_run_id).keys() == tasks)
    state = train(targets=["train@cnn"], force=True, return_state=True)
    assert state.message == "2 ran, 0 cached"
    assert team.ran()[2:] == ["prepare", "train-cnn"]


def test_flow_runs_the_code_of_its_folder(tmp_path):
    """As a worker does in a fresh clone, whose commit is newer than the worker's environment."""
    for folder in ("flows", "src/digits", "library/imageproof"):
        shutil.copytree(REPOSITORY / folder, tmp_path / folder)
    code = """
import subprocess, sys
from prefect.utilities.importtools import import_object
import_object("flows/train.py:train")
show = "import digits, imageproof; print(digits.__file__, imageproof.__file__, flush=True)"
exec(show)
subprocess.run([sys.executable, "-c", show])
"""
    own = [str(tmp_path / f"{name}/__init__.py") for name in ("src/digits", "library/imageproof")]
    assert python("-c", code, cwd=tmp_path).stdout.split() == 2 * own
    flows = [path.read_text("utf-8") for path in (REPOSITORY / "flows").glob("*.py")]
    assert sum("\nimport own_code as own_code\n" in text for text in flows) == len(flows) - 1


def test_failed_stage_fails_flow(project):
    project.fails("train-mlp", 3)
    line = "train@mlp: no disk left on the moon (exit code 3)\nnot run: compare"
    assert failure(train) == line
    assert "train-cnn" in [words[0] for words in project.log("end")]


def test_stage_is_retried_after_4_and_6(project, monkeypatch):
    monkeypatch.setattr(_stages.run_step, "retry_delay_seconds", [0.1, 0.1])
    project.fails("prepare", 4, 6, 4)
    state = train(targets=["prepare"], return_state=True)
    assert state.message.endswith("(exit code 4)")
    assert project.ran() == ["prepare"] * 3
    run_id = state.state_details.flow_run_id
    assert until(lambda: "are exhausted" in log_of(run_id))
    assert "NoneType" not in log_of(run_id)


def test_experiment_on_changed_data_is_refused(project):
    project.set_data("2")
    line = "data: is not what data.dvc names; `dvc commit data.dvc` keeps it, `dvc pull --force "
    assert failure(train, overrides={"train.mlp.fit.epochs": 2}).startswith(line)
    assert project.ran() == []


def test_frozen_stage_is_checked(team):
    team.dvc("freeze", "prepare")
    (team.root / "artifacts/prepare.txt").write_text("by hand")
    line = "artifacts/prepare.txt: is not what prepare names; `dvc commit prepare` keeps "
    assert failure(train, targets=["train@mlp"]).startswith(line)
    assert team.ran() == []


@pytest.mark.slow
def test_overrides_make_experiments_that_run_at_once(team):
    team.git("add", "dvc.lock")
    (team.root / "raw.txt").write_text("changed, not committed")
    files = team.files()
    names = [*"abcdefghi", "Käse"]

    def experiment(epochs):
        overrides = {"train.mlp.fit.epochs": epochs, "data.class_names": names}
        return train.with_options(flow_run_name="--force")(overrides=overrides, return_state=True)

    with ThreadPoolExecutor() as pool:
        states = [*pool.map(experiment, (2, 3))]
    assert {state.message for state in states} == {"1 ran, 0 cached"}  # DVC skipped some stages
    assert team.files() == files
    # else it had no figures of its own
    ends = {flow_run: name for stage, *_, name, flow_run in team.log("end") if stage == "compare"}
    assert {*ends.values()} == {*team.dvc("exp", "list", "--name-only").split()}
    team.git("checkout", "-q", ".")
    team.dvc("exp", "apply", ends[str(states[1].state_details.flow_run_id)])
    assert '"epochs": 3' in (team.root / "artifacts/train-mlp.txt").read_text()
    assert read_yaml(team.root / "params.yaml")["data"]["class_names"] == names


def test_overrides_exclude_targets(project):
    line = failure(train, targets=["train@mlp"], overrides={"seed": 2})
    assert line.startswith("targets: cannot be given with `overrides`: an")


def test_server_that_is_not_up_is_told():
    address = "http://127.0.0.1:9/api"
    with temporary_settings({PREFECT_API_URL: address}):
        assert finding(ServiceError, ensure_server).startswith(f"Prefect at {address}: ")


def test_wrong_login_is_told():
    async def receive(scope, receive, send):
        status = 200 if scope["path"] == "/api/health" else 401  # as Prefect's server
        await send({"type": "http.response.start", "status": status, "headers": []})
        await send({"type": "http.response.body", "body": b"{}"})

    with (
        served(receive) as port,
        temporary_settings({PREFECT_API_URL: f"http://127.0.0.1:{port}/api"}),
    ):
        assert "401" in finding(ServiceError, ensure_server)


@pytest.mark.parametrize("name", ["monitor", "promote", "retrain", "score"])
def test_flow_as_program_takes_its_parameters(name, prefect_server, tmp_path):
    arguments = {"monitor": ["log"], "promote": ["mlp"], "retrain": [], "score": ["images"]}[name]
    done = subprocess.run(
        [sys.executable, REPOSITORY / f"flows/{name}.py", *arguments],
        cwd=tmp_path,
        env=os.environ | {"PREFECT_API_URL": prefect_server},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1
    assert "params.yaml: not found; run from the project's folder" in done.stderr


@pytest.mark.slow
def test_signal_ends_flow_and_its_server(project):
    project.sleeps("prepare", 600)
    shutil.copy(REPOSITORY / "prefect.toml", project.root)
    env = {name: value for name, value in os.environ.items() if not name.startswith("PREFECT_")}
    env["http_proxy"] = f"http://127.0.0.1:{free_port()}"
    command = (sys.executable, REPOSITORY / "flows/train.py")
    program = psutil.Popen(command, cwd=project.root, env=env, stderr=subprocess.PIPE, text=True)
    assert until(lambda: project.ran() == ["prepare"], seconds=240)
    started = program.children(recursive=True)
    sockets = [socket for process in started for socket in process.net_connections()]
    [port] = {socket.laddr.port for socket in sockets if socket.status == "LISTEN"}
    for headers in foreign(port):
        assert statuses(port, [("POST", "/api/flows/")], **headers).keys() == {403}
    program.send_signal(signal.SIGINT)
    _, errors = program.communicate(timeout=180)
    assert program.returncode == 130, errors
    assert until(lambda: all(has_ended(process.pid) for process in started), seconds=180)
    assert not answers(port)
