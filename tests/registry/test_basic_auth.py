"""MLflow's own authentication, as docs/how-to/team.md says: users who are no administrators."""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import arena
import pytest
from arena import FEW, NAME, fighter_elsewhere
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException
from mlflow.server import get_app_client
from support import Server, changed, mlflow_serves

from digits import params as parameters
from digits.core.dataset import Dataset
from digits.registry.promotion import Outcome, promote_training, rollback
from digits.registry.versions import Registry
from digits.tracking.restore import restore_all

pytestmark = pytest.mark.slow

Become = Callable[[str], None]

# MLflow remembers passwords that were right: to check one takes 0.25 s, several times a request.
CONFIG = """\
[mlflow]
default_permission = READ
database_uri = sqlite:///auth.db
admin_username = admin
admin_password = {password}
auth_cache_ttl_seconds = 600
"""


@pytest.fixture
def server(tmp_path_factory: pytest.TempPathFactory, migrated: Path) -> Iterator[Server]:
    """A server with the administrator `admin`, and the users `ann` and `bob`."""
    folder = tmp_path_factory.mktemp("basic-auth")
    shutil.copy(migrated, folder / "mlflow.db")
    config = folder / "auth.ini"
    config.write_text(CONFIG.format(password=password("admin")))
    env = {"MLFLOW_AUTH_CONFIG_PATH": str(config), "MLFLOW_FLASK_SERVER_SECRET_KEY": "a" * 32}
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


def grant_edit(server: Server, user: str) -> None:
    """What the page says; as who made the experiments and the registered model."""
    client = get_app_client("basic-auth", server.uri)
    client.grant_user_permission(user, "registered_model", NAME, "EDIT")
    experiment = MlflowClient().get_experiment_by_name(NAME)
    assert experiment is not None
    client.grant_user_permission(user, "experiment", experiment.experiment_id, "EDIT")


def promote() -> Outcome:
    quick = parameters.check(changed({"promote.max_latency_ms": None, "promote.min_accuracy": 0.9}))
    return promote_training("mlp", None, None, params=quick)


def test_ordinary_users_log_promote_and_roll_back_with_the_permissions_of_the_page(
    project: Path, digits_8x8: Dataset, server: Server, become: Become
) -> None:
    arena.prepare(digits_8x8)
    become("ann")
    fighter_elsewhere("mlp", FEW)
    restore_all()
    assert promote().moved

    become("bob")
    with pytest.raises(MlflowException, match="Permission denied"):
        promote()

    become("ann")
    grant_edit(server, "bob")
    become("bob")
    fighter_elsewhere("mlp")
    restore_all()
    assert promote().moved
    rollback(NAME)
    assert Registry(NAME).champion() == "1"
    moves = [(move.action, move.after, move.by) for move in Registry(NAME).moves()]
    assert moves == [("promote", "1", "ann"), ("promote", "2", "bob"), ("rollback", "1", "bob")]
