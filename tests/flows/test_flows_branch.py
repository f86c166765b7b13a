"""What a training leaves: data and results in DVC's remote, a branch of git with their text."""

import json
import shutil
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import chdir
from pathlib import Path

import numpy as np
import pytest
from deployed import ask, failure
from helpers import AUTHOR, clone_without_history, until
from prefect.client.schemas.objects import StateType
from prefect.variables import Variable
from shared import STARTUP
from small_project import Project, run
from support import REPOSITORY, SMALL, write_params

from imageproof.base.files import read_yaml, write_json
from imageproof.system._process import own_code
from retrain import retrain
from train import train

pytestmark = pytest.mark.usefixtures("prefect_server")


def trained(**parameters):
    """The message of a training that pushes."""
    return str(train(push=True, return_state=True, **parameters).message)


def test_results_are_a_branch(team):
    (team.root / "notes.txt").write_text("mine")
    head = team.git("rev-parse", "HEAD")
    status = team.git("status", "--porcelain")
    message = trained()
    [ref] = team.git("ls-remote", "origin", "refs/heads/retrain/*").split()[1:]
    branch = ref.removeprefix("refs/heads/")
    assert message == f"0 ran, 4 cached; branch {branch}"
    assert branch.endswith(f"-{head[:12]}")
    assert team.git("rev-parse", "HEAD") == head
    assert team.git("status", "--porcelain") == status
    changed = team.git("diff", "--name-only", "HEAD", f"origin/{branch}").split()
    assert changed == ["artifacts/compare.txt", "dvc.lock"]
    assert "in sync" in team.dvc("status", "--cloud")
    assert trained() == f"0 ran, 4 cached; branch {branch}"  # the same once more


@pytest.mark.slow
def test_pull_brings_back_results(team):
    team.dvc("push", "-q", "--run-cache")
    team.git("add", "artifacts")
    for folder in ("artifacts", "data", ".dvc/cache"):
        shutil.rmtree(team.root / folder)
    team.git("checkout", "-q", "artifacts")  # what DVC does not cache
    assert failure(train).startswith("data: not found; `dvc pull data")
    assert train(pull=True, return_state=True).message == "0 ran, 4 cached"
    assert team.ran() == []


def test_what_could_not_be_pushed_is_not_trained(team):
    team.set_epochs("mlp", 2)
    team.dvc("remote", "default", "--unset")
    team.git("commit", "-qam", "no remote")
    assert "No default remote set" in trained()
    (team.root / "stage.py").write_text("raise SystemExit(9)")
    line = "stage.py differ from the commit; commit them, or run without push"
    assert trained() == f"push: {line}"
    assert team.ran() == []


def test_params_edited_meanwhile_are_not_pushed(team):
    def edit():
        assert until(lambda: "compare" in team.ran(), seconds=240)
        team.set_epochs("cnn", 2)

    team.set_epochs("mlp", 2)
    team.sleeps("compare", 5)
    with ThreadPoolExecutor(1) as pool:
        edited = pool.submit(edit)
        message = trained()
        edited.result()
    line = "push: train@cnn, compare changed while the flow ran; run it again (exit code 2)"
    assert message == line
    assert team.git("ls-remote", "origin", "refs/heads/retrain/*") == ""


OFF = "min_sensitivity beats_baseline max_calibration_error coverage_test max_unsure holdout_test"
GATE = SMALL | {f"promote.{check}": False for check in OFF.split()}
GATE["promote.min_accuracy"] = 0.99  # two epochs reach less
LONGER = GATE | {"train.mlp.fit.epochs": 3}


@pytest.fixture
def origin(tmp_path, images_8x8, trained_project):
    """A bare repository of this project with small images and a training, in DVC's remote too."""
    seed = tmp_path / "seed"
    clone_without_history(REPOSITORY, seed)
    with chdir(seed):
        write_params(GATE)
        shutil.rmtree(seed / "dvc-store")
        pipeline = read_yaml(Path("dvc.yaml"))
        for name in ("explore", "report"):  # whose results nobody here looks at
            del pipeline["stages"][name]
        write_json(Path("dvc.yaml"), pipeline)
        for pointer in Path("backbones").glob("*.dvc"):  # no model here asks for them
            pointer.unlink()
        Path("data").mkdir()
        np.savez("data/digits.npz", x_train=images_8x8.images, y_train=images_8x8.labels)
    project = Project(seed, tmp_path)
    project.dvc("remote", "add", "-q", "-d", "team", str(tmp_path / "remote"))
    project.dvc("add", "-q", "data")
    dvc = (sys.executable, "-m", "dvc", "repro", "-q", "split", "baseline")
    run(*dvc, cwd=seed, env={"PYTHONPATH": own_code(seed, STARTUP)})
    for stage in ("train", "evaluate"):  # by the same params, of the same images
        shutil.copytree(trained_project / "artifacts" / stage, seed / "artifacts" / stage)
    project.dvc("commit", "-q", "-f", "train@mlp", "evaluate@mlp")
    project.dvc("push", "-q")
    with chdir(seed):
        write_params(LONGER)
    run("git", "commit", "-qam", "small", cwd=seed, env=AUTHOR)
    project.git("clone", "-q", "--bare", ".", str(tmp_path / "origin.git"))


@pytest.mark.slow
@pytest.mark.timeout(1500)
@pytest.mark.usefixtures("origin")
def test_retraining_comes_home(tmp_path, monkeypatch):
    worker = tmp_path / "worker"
    clone = tmp_path / "other"
    for name, value in AUTHOR.items():
        monkeypatch.setenv(name, value)
    run("git", "clone", "-q", "origin.git", "worker", cwd=tmp_path)
    monkeypatch.chdir(worker)
    Variable.set("digits_retrained_data", "older", overwrite=True)
    state = retrain(models=["mlp"], push=True, return_state=True)
    Variable.unset("digits_retrained_data")
    assert (state.type, state.name) == (StateType.FAILED, "Refused"), state.message
    for key in ("digits-results", "digits-retrain"):  # what the pages of the runs show
        path = "/artifacts/{key}/latest"
        table = ask("request", method="GET", path=path, path_params={"key": key})
        assert "mlp" in table.json()["data"]

    ref = run("git", "ls-remote", "origin", "refs/heads/retrain/*-????????????", cwd=worker)
    branch = ref.strip().partition("refs/heads/")[2]
    run("git", "clone", "-q", "-b", branch, "origin.git", "other", cwd=tmp_path)
    monkeypatch.chdir(tmp_path)
    shutil.rmtree(worker)
    text = run("git", "log", "--format=%B", "origin/main..", cwd=clone)
    for part in (
        "mlp Refused: refused by min_accuracy (0.",
        "- `mlp`: **",  # the exact paired test's verdict
        "<td><code>train.mlp.fit.epochs</code></td>",
        "test_confusion_matrix.png?raw=true)",
    ):
        assert part in text
    project = Project(clone, tmp_path)
    env = {"PYTHONPATH": own_code(clone, STARTUP)}
    project.dvc("pull", "-q")
    digits = str(Path(sys.executable).with_name("digits"))
    again = run(sys.executable, "-m", "dvc", "repro", "--dry", cwd=clone, env=env)
    assert "Running stage" not in again, again
    with chdir(clone):
        write_params(LONGER | {"promote.min_accuracy": 0.1})
    outcome = json.loads(run(digits, "promote", "mlp", "--json", cwd=clone, env=env))
    assert (outcome["accepted"], outcome["version"]) == (True, "1")
