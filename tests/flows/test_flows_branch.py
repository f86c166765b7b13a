"""What a training leaves: data and results in DVC's remote, a branch of git with their text."""

import json
import shutil
import sys
from contextlib import chdir
from pathlib import Path

import numpy as np
import pytest
from deployed import PREFECT, log_of, state_of, submit
from helpers import AUTHOR, clone_without_history, until
from prefect.client.orchestration import get_client
from prefect.variables import Variable
from services import running
from shared import STARTUP
from small_project import Project, run
from support import REPOSITORY, SMALL, write_params

from imageproof.system.process import own_code
from train import train

pytestmark = pytest.mark.usefixtures("prefect_server")


def trained(**parameters):
    """The message of a training that pushes."""
    return str(train(push=True, return_state=True, **parameters).message)


def test_results_are_a_branch(team):
    (team.root / "notes.txt").write_text("mine")
    head, status = team.git("rev-parse", "HEAD"), team.git("status", "--porcelain")
    message = trained()
    [ref] = team.git("ls-remote", "origin", "refs/heads/retrain/*").split()[1:]
    branch = ref.removeprefix("refs/heads/")
    assert message == f"0 ran, 4 cached; branch {branch}"
    assert branch.endswith(f"-{head[:12]}")
    assert team.git("rev-parse", "HEAD") == head
    assert team.git("status", "--porcelain") == status
    changed = team.git("diff", "--name-only", "HEAD", f"origin/{branch}").split()
    assert changed == ["artifacts/compare.txt", "dvc.lock"]
    folder = team.control.parent
    run("git", "clone", "-q", "-b", branch, "control/origin.git", "clone", cwd=folder)
    clone = Project(folder / "clone", team.control)
    clone.dvc("pull", "-q")
    assert clone.dvc("status").strip() == "Data and pipelines are up to date."
    assert trained() == f"0 ran, 4 cached; branch {branch}"  # the same once more


@pytest.mark.slow
def test_pull_brings_back_results(team):
    team.dvc("push", "-q", "--run-cache")
    team.git("add", "artifacts")
    for folder in ("artifacts", "data", ".dvc/cache"):
        shutil.rmtree(team.root / folder)
    team.git("checkout", "-q", "artifacts")  # what DVC does not cache
    assert str(train(return_state=True).message).startswith("data: not found; `dvc pull data")
    assert train(pull=True, return_state=True).message == "0 ran, 4 cached"
    assert team.ran() == []


def test_uncommitted_code_is_not_pushed(team):
    (team.root / "stage.py").write_text("raise SystemExit(9)")
    line = "stage.py differ from the commit; commit them, or run without push"
    assert trained() == f"push: {line}"
    assert team.ran() == []


GATE = {
    "promote.min_accuracy": 0.99,  # two epochs reach less
    "promote.min_sensitivity": False,
    "promote.beats_baseline": False,
    "promote.max_calibration_error": False,
    "promote.coverage_test": False,
    "promote.max_unsure": False,
    "promote.holdout_test": False,
}
LONGER = {"train.mlp.fit.epochs": 3}


def write_csv(path, data):
    """The images as a table of pixels."""
    pixels = data.images.reshape(len(data), -1)
    names = ",".join(["label", *(f"pixel{n}" for n in range(pixels.shape[1]))])
    table = np.column_stack([data.labels, pixels])
    np.savetxt(path, table, fmt="%d", delimiter=",", header=names, comments="")


@pytest.fixture
def clones(tmp_path, images_8x8, prefect_server):
    """A bare repository of this project with small images, whose data DVC's remote has.

    Returns the environment of commands in its clones `worker` and `other`.
    """
    seed = tmp_path / "seed"
    clone_without_history(REPOSITORY, seed)
    with chdir(seed):
        write_params(SMALL | GATE)
        shutil.rmtree(seed / "dvc-store")
        for pointer in Path("backbones").glob("*.dvc"):  # no model here asks for them
            pointer.unlink()
        (seed / "data").mkdir()
        write_csv(seed / "data/train.csv", images_8x8)
    project = Project(seed, tmp_path)
    env = {**AUTHOR, "PREFECT_API_URL": prefect_server, "PREFECT_WORKER_QUERY_SECONDS": "1"}
    project.dvc("remote", "add", "-q", "-d", "team", str(tmp_path / "remote"))
    project.dvc("add", "-q", "data")
    dvc = (sys.executable, "-m", "dvc", "repro", "-q", "evaluate@mlp")
    run(*dvc, cwd=seed, env=env | {"PYTHONPATH": own_code(seed, STARTUP)})
    project.dvc("push", "-q")
    with chdir(seed):
        write_params(SMALL | GATE | LONGER)
    run("git", "commit", "-qam", "small", cwd=seed, env=env)
    project.git("clone", "-q", "--bare", ".", str(tmp_path / "origin.git"))
    run("git", "clone", "-q", "origin.git", "worker", cwd=tmp_path)
    return env


@pytest.mark.slow
@pytest.mark.timeout(1500)
def test_retraining_comes_home(clones, tmp_path):
    worker, other = tmp_path / "worker", tmp_path / "other"
    env = clones | {
        "PYTHONPATH": own_code(worker, STARTUP),
        "PREFECT_HOME": str(tmp_path / "prefect"),
    }
    run(*PREFECT, "work-pool", "create", "home", "--type", "process", cwd=worker, env=env)
    run(*PREFECT, "deploy", "-n", "digits-retrain", "--pool", "home", cwd=worker, env=env)
    Variable.set("digits_retrained_data", "older", overwrite=True)
    with running(*PREFECT, "worker", "start", "--pool", "home", cwd=worker, env=env):
        retrained = submit("retrain/digits-retrain", models=["mlp"])
        assert until(lambda: state_of(retrained).is_final(), seconds=900)
    Variable.unset("digits_retrained_data")
    state = state_of(retrained)
    assert state.name == "Refused", f"{state.message} {log_of(retrained)}"
    assert "mlp Refused: refused by min_accuracy (0." in str(state.message)
    with get_client(sync_client=True) as client:  # what the pages of the runs show
        for key in ("digits-results", "digits-retrain"):
            table = client.request("GET", "/artifacts/{key}/latest", path_params={"key": key})
            assert "mlp" in table.json()["data"]

    [ref] = run(
        "git", "ls-remote", "origin", "refs/heads/retrain/*-????????????", cwd=worker
    ).splitlines()
    branch = ref.partition("refs/heads/")[2]
    run("git", "clone", "-q", "-b", branch, "origin.git", "other", cwd=tmp_path)
    shutil.rmtree(worker)
    text = run("git", "log", "--format=%B", "origin/main..", cwd=other)
    assert "mlp Refused: refused by min_accuracy (0." in text
    assert "- `mlp`: **" in text  # the exact paired test's verdict
    assert "<td><code>train.mlp.fit.epochs</code></td>" in text
    assert "test_confusion_matrix.png?raw=true)" in text
    project = Project(other, tmp_path)
    env["PYTHONPATH"] = own_code(other, STARTUP)
    project.dvc("pull", "-q")
    digits = str(Path(sys.executable).with_name("digits"))
    again = run(sys.executable, "-m", "dvc", "repro", "--dry", cwd=other, env=env)
    assert "Running stage" not in again, again
    with chdir(other):
        write_params(SMALL | GATE | LONGER | {"promote.min_accuracy": 0.1})
    outcome = json.loads(run(digits, "promote", "mlp", "--json", cwd=other, env=env))
    assert (outcome["accepted"], outcome["version"]) == (True, "1")
