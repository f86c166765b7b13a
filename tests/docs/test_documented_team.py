"""Every command of the pages about a team: two clones, a worker, backup, restore, upgrade."""

import shlex
import subprocess
from pathlib import Path

import pytest
from blocks import Block, blocks
from support import REPOSITORY, link_environment
from test_documented_commands import RUN_BY, Session

from flows.team import prepare
from flows.team.control import Team
from flows.team.settings import FIRST_PORT, FOLDER, PORTS, Settings

pytestmark = pytest.mark.slow

PAGES = ("team", "workers")
HERE = f"{RUN_BY}{Path(__file__).relative_to(REPOSITORY).as_posix()}"
BLOCKS = [
    block
    for page in PAGES
    for block in blocks(REPOSITORY / f"docs/how-to/{page}.md")
    if block.comment == HERE
]
SECOND = "git clone --branch main .team/origin.git ../second"


class Here(Session):
    """A clone whose `.team` is the team of the tests."""

    def __init__(self, root: Path, team: Team) -> None:
        super().__init__(root)
        (root / FOLDER).symlink_to(team.settings.folder)
        prepare.add_remote(Settings(root, root / FOLDER, team.settings.first_port))
        self.shift = team.settings.first_port - FIRST_PORT

    def run_with_ports_of_the_tests(self, block: Block) -> None:
        """Run a block; after the clone of the second, give that the environment of the tests."""
        text = block.text
        for port in range(FIRST_PORT, FIRST_PORT + len(PORTS)):
            text = text.replace(str(port), str(port + self.shift))
        self.bash(text, where=str(block))
        if SECOND in text:
            link_environment(self.root.parent / "second")

    def says(self, command: str) -> str:
        """What a command prints, with the team's addresses."""
        return subprocess.run(
            ["bash", "-c", f". {FOLDER}/env && {command}"],
            cwd=self.root,
            env=self.environment,
            stdout=subprocess.PIPE,
            text=True,
            check=True,
        ).stdout


@pytest.fixture
def here(team: Team, tmp_path: Path) -> Here:
    team.start("mlflow", "worker-1", "dask-worker-1")
    # what the repository or an earlier test pushed is no ancestor of the clone's commit
    subprocess.run(
        ["git", "-C", team.settings.folder / "origin.git", "update-ref", "-d", "refs/heads/main"],
        check=True,
    )
    return Here(tmp_path / "digits", team)


def test_every_command_of_the_team_succeeds(here: Here) -> None:
    for block in BLOCKS:
        here.run_with_ports_of_the_tests(block)
    second = shlex.quote(str(here.root.parent / "second"))
    assert "are up to date" in here.says(f"cd {second} && dvc status")
    assert here.says("dvc exp list --name-only").split() != []
    assert "promote" in here.says("digits history")
