"""MLflow's own authentication, set up as for `make team`: users who are no administrators."""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import arena
import pytest
from arena import FEW, fighter_elsewhere
from helpers import Server, mlflow_serves
from mlflow.server import get_app_client
from support import NAME, REPOSITORY, project_with

from digits.project import load_project
from imageproof.base.dataset import Dataset
from imageproof.mlflow.restore import restore_all
from imageproof.registry.promotion import Candidate, Outcome, promote_training, rollback
from imageproof.registry.versions import Registry

pytestmark = pytest.mark.slow

Become = Callable[[str], None]


@pytest.fixture
def server(tmp_path_factory: pytest.TempPathFactory, migrated: Path) -> Iterator[Server]:
    """A server with the administrator `admin`, and the users `ann` and `bob`."""
    folder = tmp_path_factory.mktemp("basic-auth")
    shutil.copy(migrated, folder / "mlflow.db")
    config = (REPOSITORY / "deploy/basic_auth.ini").read_text("utf-8")
    (folder / "auth.ini").write_text(config.replace("postgresql:///mlflow", "sqlite:///auth.db"))
    env = {
        "MLFLOW_AUTH_CONFIG_PATH": "auth.ini",
        "MLFLOW_AUTH_ADMIN_USERNAME": "admin",
        "MLFLOW_AUTH_ADMIN_PASSWORD": password("admin"),
        "MLFLOW_FLASK_SERVER_SECRET_KEY": "a" * 32,
    }
    with mlflow_serves(folder, "--app-name", "basic-auth", env=env) as server:
        yield server


@pytest.fixture
def become(server: Server, monkeypatch: pytest.MonkeyPatch) -> Become:
    """What makes this process speak to the server as another user."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", server.uri)

    def become(user: str) -> None:
        monkeypatch.setenv("MLFLOW_TRACKING_USERNAME", user)
        monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", password(user))

    become("admin")
    for user in ("ann", "bob"):
        get_app_client("basic-auth", server.uri).create_user(user, password(user))
    return become


def password(user: str) -> str:
    return f"{user}-has-a-long-password"


def promote() -> Outcome:
    quick = project_with({"promote.max_latency_ms": None, "promote.min_accuracy": 0.9})
    return promote_training(Candidate("mlp"), project=quick)


def test_users_promote_and_roll_back(project: Path, images_8x8: Dataset, become: Become) -> None:
    arena.prepare(images_8x8)
    become("ann")
    fighter_elsewhere("mlp", FEW)
    restore_all(load_project())
    assert promote().move

    become("bob")
    fighter_elsewhere("mlp")
    restore_all(load_project())
    assert promote().move
    rollback(NAME)
    assert Registry(NAME).champion() == "1"
    moves = [(move.action, move.after, move.by) for move in Registry(NAME).moves()]
    assert moves == [("promote", "1", "ann"), ("promote", "2", "bob"), ("rollback", "1", "bob")]
