"""A worker that has no folder of the deployer's: code comes to it, and results come home."""

import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple
from uuid import UUID

import pytest
from deployed import Worker, completes, state_of, submit
from prefect.client.orchestration import get_client
from prefect.logging import disable_run_logger
from small_project import Project, run
from support import REPOSITORY
from test_flows_registry import Digits
from test_flows_worker import log_of

from flows.retrain import retrain
from flows.support import commands
from flows.support.home import goes_home, push_retrained

pytestmark = [pytest.mark.slow]

NAME, PASSWORD = "homing", "correct horse battery staple"
ASKS_FOR_PASSWORD = """
with open(control / "asked", "w") as asked:
    print(os.environ["TEAM_PASSWORD"], sys.executable, end="", file=asked)
"""
OTHER_FLOW = """
import os
from pathlib import Path

(Path(os.environ["CONTROL"]) / "flow").write_text(f"{Path.cwd()} {__file__}")
"""
# An environment of other packages, made as the real ones are, but of the packages that are here.
OTHER_PACKAGES = {
    "requirements.lock": "numpy==0.0.1\n",
    "pyproject.toml": "[project]\ndependencies = ['numpy']\n",
    "environment.sh": """\
[ -d .venv ] && exit
mkdir -p .venv/bin
ln -s "$1" .venv/bin/python
here=$(dirname "$(dirname "$1")")
ln -s "$here/lib" .venv/lib
cp "$here/pyvenv.cfg" .venv
""",
}


class Team:
    """A git repository and a DVC remote that all clones share, and a clone that deploys."""

    def __init__(self, template: Path, folder: Path) -> None:
        self.folder = folder
        self.control = folder / "control"
        self.control.mkdir()
        self.origin = folder / "origin.git"
        self.deployer = Project(folder / "deployer", self.control)
        shutil.copytree(template, self.deployer.root)
        params = self.deployer.root / "params.yaml"
        params.write_text(params.read_text().replace("name: digits", f"name: {NAME}"))
        self.deployer.dvc("remote", "add", "-q", "-d", "team", str(folder / "remote"))
        self.deployer.dvc("push", "-q")
        self.deployer.git("commit", "-qam", "for a team")
        run("git", "clone", "-q", "--bare", str(self.deployer.root), str(self.origin), cwd=folder)
        self.deployer.git("remote", "add", "origin", str(self.origin))
        self.deployer.git("fetch", "-q", "origin")

    def clone(self, name: str) -> Project:
        """A fresh clone of somebody else."""
        run("git", "clone", "-q", str(self.origin), name, cwd=self.folder)
        return Project(self.folder / name, self.control)

    def push_other_packages(self, branch: str) -> None:
        """A branch with another requirements.lock and flow, whose stages ask for a password."""
        clone = self.clone(branch)
        shutil.copytree(REPOSITORY / "flows", clone.root / "flows")
        with (clone.root / "flows/train.py").open("a") as flow:
            flow.write(OTHER_FLOW)
        for name, text in OTHER_PACKAGES.items():
            (clone.root / name).write_text(text)
        stage = clone.root / "stage.py"
        stage.write_text(stage.read_text() + ASKS_FOR_PASSWORD)
        clone.git("add", ".")
        clone.git("-c", "user.name=t", "-c", "user.email=t@example.org", "commit", "-qm", "other")
        clone.git("push", "-q", "origin", f"HEAD:refs/heads/{branch}")


class Sent(NamedTuple):
    """The folder of a worker, in which there was nothing, and the runs that it was sent."""

    folder: Path
    experiment: UUID
    other_packages: UUID
    not_pushed: UUID
    no_branch: UUID


@pytest.fixture(scope="module")
def team(template: Path, tmp_path_factory: pytest.TempPathFactory) -> Team:
    """Its clones and remotes."""
    return Team(template, tmp_path_factory.mktemp("team"))


@pytest.fixture(scope="module")
def sent(team: Team, prefect_server: str) -> Iterator[Sent]:
    """What a worker does at once, when the deployer's folder is gone."""
    team.push_other_packages("other-packages")
    folder, train = team.folder / "worker", f"train/{NAME}"
    folder.mkdir()
    env = {"PREFECT_API_URL": prefect_server, "PREFECT_HOME": str(folder / ".prefect")}
    env |= {"CONTROL": str(team.control)}
    deploy = ("-m", "flows.deploy", "--git", "--secret", "TEAM_PASSWORD")
    secret = {"TEAM_PASSWORD": PASSWORD}
    run(sys.executable, *deploy, cwd=team.deployer.root, env=env | secret)
    team.deployer.root.rename(team.folder / "gone")
    worker = Worker(folder, env, pool=NAME)
    worker.ensure()
    yield Sent(
        folder,
        submit(train, overrides={"train.mlp.fit.epochs": 2}),
        submit(train, commit="other-packages", targets=["prepare"], force=True),
        submit(train, commit="0" * 40),
        submit(train, commit="v1"),
    )
    worker.stop()


@pytest.fixture
def digits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Digits:
    """A replacement for `digits`, which promotes everything."""
    stand_in = Digits(tmp_path)
    monkeypatch.setattr(commands, "DIGITS", stand_in.program)
    return stand_in


def test_an_experiment_made_on_a_worker_is_in_every_clone(team: Team, sent: Sent) -> None:
    assert completes(sent.experiment), log_of(sent.experiment)
    other = team.clone("other")
    [name] = other.dvc("exp", "list", "--name-only", "origin").split()
    other.dvc("exp", "pull", "origin", name)
    other.dvc("exp", "apply", name)
    assert '"epochs": 2' in (other.root / "artifacts/train-mlp.txt").read_text()
    assert "up to date" in other.dvc("status")
    commit = other.git("rev-parse", "HEAD").strip()
    where = sent.folder / ".state" / "code" / commit
    assert f"commit {commit[:12]} in {where} on " in log_of(sent.experiment)


def test_a_run_may_name_its_commit_and_gets_its_flow_its_packages_and_the_teams_secrets(
    team: Team, sent: Sent
) -> None:
    made = sent.other_packages
    assert completes(made), log_of(made)
    folder, flow = (team.control / "flow").read_text().split()
    assert flow == f"{folder}/flows/train.py"
    [environment] = (sent.folder / ".state/code/environments").iterdir()
    asked = (team.control / "asked").read_text()
    assert asked == f"{PASSWORD} {environment}/.venv/bin/python"
    with get_client(sync_client=True) as client:
        [pool] = [pool for pool in client.read_work_pools() if pool.name == NAME]
        known = [client.read_deployment_by_name(f"train/{NAME}"), client.read_flow_run(made), pool]
    assert PASSWORD not in "".join(each.model_dump_json() for each in known) + log_of(made)
    assert PASSWORD not in (team.folder / "worker.log").read_text()


def test_a_commit_that_nobody_pushed_is_one_line(team: Team, sent: Sent) -> None:
    for failed, name, says in (
        (sent.not_pushed, "0" * 40, "does not have it; `git push` brings it there"),
        (sent.no_branch, "v1", "has no such branch or tag; a commit is named by all 40 characters"),
    ):
        assert not completes(failed)
        message = str(state_of(failed).message)
        assert message.startswith(f"commit {name}: {team.origin} {says}")
        assert message in log_of(failed).splitlines()


def test_what_retrain_made_is_a_branch_with_which_another_clone_goes_on(
    team: Team, digits: Digits, prefect_server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = team.clone("retrained")
    monkeypatch.chdir(here.root)
    here.set_epochs("mlp", 3)
    here.git("add", "params.yaml")
    before = here.git("status", "--branch", "--porcelain=v2", "--untracked-files=no")
    for force in (False, True):  # the second makes the same again
        state = retrain(["mlp"], force=force, return_state=True)
        assert state.name == "Promoted", state.message
    assert here.git("status", "--branch", "--porcelain=v2", "--untracked-files=no") == before
    other = team.clone("promoting")
    [branch] = [line for line in other.git("branch", "--remotes").split() if "retrain/" in line]
    other.git("switch", "-q", branch.removeprefix("origin/"))
    other.dvc("pull", "-q")
    assert "up to date" in other.dvc("status")
    assert '"epochs": 3' in (other.root / "artifacts/train-mlp.txt").read_text()


def test_what_nobody_could_fetch_or_make_again_is_not_pushed(
    project: Project, tmp_path: Path
) -> None:
    origin = str(tmp_path / "origin.git")
    with disable_run_logger():
        assert not goes_home(project.root)
        run("git", "clone", "-q", "--bare", str(project.root), origin, cwd=tmp_path)
        project.git("remote", "add", "origin", origin)
        project.dvc("remote", "add", "-q", "-d", "bundled", "dvc-store")
        assert not goes_home(project.root)
        project.dvc("remote", "add", "-q", "-d", "team", "s3://bucket/digits")
        assert goes_home(project.root)
        (project.root / "stage.py").write_text("changed")
        assert push_retrained(project.root, "1234567890") == ""
        project.git("checkout", "-q", ".")
        assert push_retrained(project.root, "1234567890") == ""
    assert "retrain" not in project.git("ls-remote", "origin")
