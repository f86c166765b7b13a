"""MLflow's own authentication, set up as for `make team`: users who are no administrators."""

import shutil

import arena
import pytest
from arena import FEW, fighter_elsewhere
from helpers import mlflow_serves
from mlflow.server import get_app_client
from support import NAME, REPOSITORY, project_with

from digits.project import load_project
from imageproof.mlflow.restore import restore_all
from imageproof.registry._promotion import Candidate, promote_training, rollback
from imageproof.registry._versions import Registry

pytestmark = pytest.mark.slow


@pytest.fixture
def become(tmp_path_factory, migrated, monkeypatch):
    """What makes this process speak to a server as another user: `admin`, `ann` or `bob`."""
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

    def become(user):
        monkeypatch.setenv("MLFLOW_TRACKING_USERNAME", user)
        monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", password(user))

    with mlflow_serves(folder, "--app-name", "basic-auth", env=env) as address:
        monkeypatch.setenv("MLFLOW_TRACKING_URI", address)
        become("admin")
        for user in ("ann", "bob"):
            get_app_client("basic-auth", address).create_user(user, password(user))
        yield become


def password(user):
    return f"{user}-has-a-long-password"


def test_users_promote_and_roll_back(project, images_8x8, become):
    arena.prepare(images_8x8)
    quick = project_with({"promote.max_latency_ms": None, "promote.min_accuracy": 0.9})
    for user, falls_for in (("ann", [FEW]), ("bob", [])):
        become(user)
        fighter_elsewhere("mlp", *falls_for)
        restore_all(load_project())
        assert promote_training(Candidate("mlp"), project=quick).move
    rollback(NAME)
    assert Registry(NAME).champion() == "1"
    moves = [(move.action, move.after, move.by) for move in Registry(NAME).moves()]
    assert moves == [("promote", "1", "ann"), ("promote", "2", "bob"), ("rollback", "1", "bob")]
