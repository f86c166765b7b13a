"""Every command of the page about a team: its servers, two clones, a user, backup, upgrade."""

from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from blocks import blocks
from helpers import free_port
from support import REPOSITORY, link_environment
from test_documented_commands import RUN_BY, Session

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1200)]

HERE = f"{RUN_BY}{Path(__file__).relative_to(REPOSITORY).as_posix()}"
BLOCKS = [b for b in blocks(REPOSITORY / "docs/how-to/team.md") if b.comment == HERE]


@pytest.fixture
def clone():
    """A clone whose team has free ports; in the end its servers are stopped."""
    if not [*Path("/usr/lib/postgresql").glob("*/bin/initdb")]:
        pytest.skip("no PostgreSQL here: apt-get install postgresql")
    # not below pytest's folder, which is for its user alone: PostgreSQL refuses root
    with TemporaryDirectory(prefix="team-") as folder:
        Path(folder).chmod(0o711)
        session = Session(Path(folder) / "digits", "compact")
        # a second clone fetches the backbone from the remote in git
        session.bash("git add --force dvc-store\ngit commit --quiet --amend --no-edit")
        # below what the system gives to clients, with the S3 server's own 10,000 above
        session.environment["TEAM_PORT"] = str(16_000 + free_port() % 600 * 10)
        yield session
        session.bash("make team-down")


def check(clone):
    """What the servers hold, and that a worker takes a run."""
    for command in (
        "digits history | grep promote",
        "cd ../second && dvc status | grep 'up to date'",
        "MLFLOW_TRACKING_PASSWORD=wrong digits history && exit 1 || test $? -eq 4",
        "prefect deployment run train/digits-train --watch",
    ):
        clone.bash(f". .team/env\n{command}")
    assert (clone.root / ".team/.env").stat().st_mode & 0o777 == 0o600


def test_every_team_command(clone):
    for block in BLOCKS:
        if "db upgrade" in block.text:  # it starts with `make team-down`
            check(clone)
        clone.bash(block.text)
        if "git clone" in block.text:
            link_environment(clone.root.parent / "second")
        if block.text == "make team-down\n":
            clone.bash("dvc pull --remote bundled")  # from the repository's own remote, as before
            clone.bash("make team")  # with all that it held
