"""What a training leaves: data and results in DVC's remote, a branch of git with their text."""

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import chdir, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from deployed import PREFECT, log_of, state_of, submit
from helpers import AUTHOR, answers, clone_without_history, free_port, until
from prefect.client.orchestration import get_client
from prefect.variables import Variable
from services import running
from small_project import Project, run
from support import REPOSITORY, SMALL, write_params

from imageproof.base.dataset import Dataset
from imageproof.system.process import own_code
from train import train

pytestmark = pytest.mark.usefixtures("prefect_server")


@pytest.fixture
def team(project: Project) -> Project:
    """The project with a DVC remote and a bare repository as `origin`."""
    project.dvc("remote", "add", "-q", "-d", "team", str(project.control / "remote"))
    project.git("commit", "-qam", "a remote")
    project.dvc("push", "-q")
    project.git("clone", "-q", "--bare", ".", str(project.control / "origin.git"))
    project.git("remote", "add", "origin", str(project.control / "origin.git"))
    return project


def trained(**parameters: Any) -> str:
    """The message of a training that pushes."""
    return str(train(push=True, return_state=True, **parameters).message)


def branches(project: Project) -> list[str]:
    """Those of `origin` that trainings made."""
    lines = project.git("ls-remote", "origin", "refs/heads/retrain/*").splitlines()
    return [line.partition("refs/heads/")[2] for line in lines]


def test_results_are_a_branch(team: Project, tmp_path: Path) -> None:
    head, status = team.git("rev-parse", "HEAD"), team.git("status", "--porcelain")
    (team.root / "notes.txt").write_text("mine")
    message = trained()
    [branch] = branches(team)
    assert message == f"5 ran, 0 cached; branch {branch}"
    assert branch.endswith(f"-{head[:12]}")
    assert team.git("rev-parse", "HEAD") == head
    assert status == ""
    assert team.git("diff", "--cached", "--name-only") == ""
    changed = team.git("diff", "--name-only", "HEAD", f"origin/{branch}").split()
    assert changed == ["artifacts/compare.txt", "dvc.lock"]
    text = team.git("log", "-1", "--format=%B", f"origin/{branch}")
    assert text.startswith("Results of a training on data ")
    clone = tmp_path / "clone"
    run(
        "git",
        "clone",
        "-q",
        "-b",
        branch,
        str(team.control / "origin.git"),
        str(clone),
        cwd=tmp_path,
    )
    other = Project(clone, tmp_path)
    other.dvc("pull", "-q")
    assert other.dvc("status").strip() == "Data and pipelines are up to date."
    assert trained() == f"1 ran, 4 cached; branch {branch}"  # the same once more
    assert branches(team) == [branch]


@pytest.mark.slow
def test_pull_brings_back_results(team: Project) -> None:
    assert trained().startswith("5 ran, 0 cached")
    team.git("add", "artifacts")
    for folder in ("artifacts", "data", ".dvc/cache"):
        shutil.rmtree(team.root / folder)
    team.git("checkout", "-q", "artifacts")  # what DVC does not cache
    assert str(train(return_state=True).message).startswith("data: not found; `dvc pull data")
    assert train(pull=True, return_state=True).message == "1 ran, 4 cached"
    assert len(team.ran()) == 4


@pytest.mark.slow
def test_unchanged_results_make_no_branch(team: Project) -> None:
    team.dvc("repro", "-q")
    team.git("add", ".")
    team.git("commit", "-qm", "results")
    assert trained() == "1 ran, 4 cached"
    assert branches(team) == []


@pytest.mark.slow
def test_branch_with_other_results_stays(team: Project) -> None:
    trained()
    [branch] = branches(team)
    tip = team.git("rev-parse", f"origin/{branch}")
    team.set_epochs("mlp", 2)
    finding = "has other results of this commit; merge or delete it, then run again"
    assert trained() == f"origin: its branch {branch} {finding} (exit code 2)"
    assert team.git("ls-remote", "origin", f"refs/heads/{branch}").split()[0] == tip.strip()


@pytest.mark.slow
def test_moved_main_is_told(team: Project) -> None:
    newer = team.git("commit-tree", "HEAD^{tree}", "-p", "HEAD", "-m", "newer").strip()
    team.git("push", "-q", "origin", f"{newer}:refs/heads/main")
    trained()
    [branch] = branches(team)
    text = team.git("log", "-1", "--format=%B", f"origin/{branch}")
    line = f"The default branch has moved on to {newer[:12]} meanwhile: merge it into this branch"
    assert line in text


def test_uncommitted_code_is_not_pushed(team: Project) -> None:
    (team.root / "stage.py").write_text("raise SystemExit(9)")
    finding = "stage.py differ from the commit; commit them, or run without push"
    assert trained() == f"push: {finding}"
    assert team.ran() == []


@contextmanager
def read_only(folder: Path) -> Iterator[str]:
    """The address of repositories in the folder that nobody may push to."""
    port = free_port()
    options = ("--export-all", "--listen=127.0.0.1", f"--port={port}", f"--base-path={folder}")
    daemon = subprocess.Popen(["git", "daemon", "--reuseaddr", *options])
    try:
        assert until(lambda: answers(port))
        yield f"git://127.0.0.1:{port}/origin.git"
    finally:
        daemon.terminate()
        daemon.wait()


def test_no_right_to_push_ends_it_before_training(team: Project) -> None:
    with read_only(team.control) as address:
        team.git("remote", "set-url", "origin", address)
        message = trained()
    assert message.startswith("git push: fatal: remote error: access denied or repository not exp")
    assert "\n" not in message
    assert team.ran() == []
    team.git("remote", "remove", "origin")
    assert "'origin' does not appear to be a git repository" in trained()


@pytest.mark.slow
def test_refused_push_loses_nothing(team: Project) -> None:
    hook = team.control / "origin.git/hooks/pre-receive"
    hook.write_text("#!/bin/sh\necho protected >&2\nexit 1\n")
    hook.chmod(0o755)
    message = trained()
    [branch] = team.git("branch", "--list", "--format=%(refname:short)", "retrain/*").split()
    assert "protected" in message
    assert f"nothing is lost: `git push origin {branch}`" in message
    hook.unlink()
    team.git("push", "-q", "origin", branch)
    assert branches(team) == [branch]


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


def write_csv(path: Path, data: Dataset) -> None:
    """The images as a table of pixels."""
    pixels = data.images.reshape(len(data), -1)
    names = ",".join(["label", *(f"pixel{n}" for n in range(pixels.shape[1]))])
    table = np.column_stack([data.labels, pixels])
    np.savetxt(path, table, fmt="%d", delimiter=",", header=names, comments="")


@pytest.fixture
def clones(tmp_path: Path, images_8x8: Dataset, prefect_server: str) -> dict[str, str]:
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
    run(*dvc, cwd=seed, env=env | {"PYTHONPATH": own_code(seed)})
    project.dvc("push", "-q")
    with chdir(seed):
        write_params(SMALL | GATE | LONGER)
    run("git", "commit", "-qam", "small", cwd=seed, env=env)
    project.git("clone", "-q", "--bare", ".", str(tmp_path / "origin.git"))
    run("git", "clone", "-q", "origin.git", "worker", cwd=tmp_path)
    return env


@pytest.mark.slow
@pytest.mark.timeout(1500)
def test_retraining_comes_home(clones: dict[str, str], tmp_path: Path) -> None:
    worker, other = tmp_path / "worker", tmp_path / "other"
    env = clones | {"PYTHONPATH": own_code(worker), "PREFECT_HOME": str(tmp_path / "prefect")}
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
    env["PYTHONPATH"] = own_code(other)
    project.dvc("pull", "-q")
    digits = str(Path(sys.executable).with_name("digits"))
    again = run(sys.executable, "-m", "dvc", "repro", "--dry", cwd=other, env=env)
    assert "Running stage" not in again, again
    with chdir(other):
        write_params(SMALL | GATE | LONGER | {"promote.min_accuracy": 0.1})
    outcome = json.loads(run(digits, "promote", "mlp", "--json", cwd=other, env=env))
    assert (outcome["accepted"], outcome["version"]) == (True, "1")
