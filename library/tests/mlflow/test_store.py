"""The tracking store works from the start, or says in one line why it does not."""

import json
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from unittest.mock import Mock

import pytest
from example import NAME, load_project
from helpers import Server, active_run, finding, only_run
from mlflow import MlflowClient

from imageproof.base.errors import ServiceError
from imageproof.cli.ui import address
from imageproof.mlflow import page, runs, store
from imageproof.mlflow.page import NOTE

VIEW = "mlflow.sharedViewState.imageproof"


class TestTheStore:
    def test_is_where_the_user_says_or_beside_the_project_and_recorded_without_secrets(
        self, tracked: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        secret = "postgresql://127.0.0.1/runs?password=secret"
        for given, asked, recorded in (
            ("sqlite:///x/r.db", f"sqlite:///{tracked}/x/r.db", "sqlite:///x/r.db"),
            ("sqlite:////var/r.db", "sqlite:////var/r.db", "sqlite:////var/r.db"),
            ("http://me:secret@host:5000", "http://me:secret@host:5000", "http://host:5000"),
            (secret, secret, "postgresql://127.0.0.1/runs"),
        ):
            monkeypatch.setenv("MLFLOW_TRACKING_URI", given)
            assert (store.tracking_uri(), store.portable_uri()) == (asked, recorded)
        monkeypatch.delenv("MLFLOW_TRACKING_URI")
        assert store.tracking_uri() == f"sqlite:///{tracked}/mlflow.db"
        store.connect(NAME)  # MLflow then puts the whole path into the environment
        assert store.portable_uri() == "sqlite:///mlflow.db"

    def test_is_shared_with_a_copy(self, tracked: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        (tracked / "copy").mkdir()
        monkeypatch.chdir(tracked / "copy")
        monkeypatch.setenv("DVC_ROOT", str(tracked))
        with runs.active_run("mlp", experiment="imageproof", params={}, tags={}):
            pass
        assert only_run(MlflowClient(f"sqlite:///{tracked}/mlflow.db"))
        assert list(Path().iterdir()) == []

    def test_takes_a_deleted_experiment_back(self, tracked: Path) -> None:
        experiment = store.connect(NAME)
        found = MlflowClient().get_experiment(experiment)
        assert found.artifact_location == (tracked / "mlartifacts").as_uri()
        MlflowClient().delete_experiment(experiment)
        assert store.connect(NAME) == experiment
        with active_run("mlp", params={}, tags={}):
            pass

    def test_shows_the_project_in_a_view_that_is_written_once(self, tracked: Path) -> None:
        experiment, client = store.connect(NAME), MlflowClient()
        tags = client.get_experiment(experiment).tags
        state = json.loads(json.loads(tags[VIEW])["state"])
        assert {chart["type"] for chart in state["compareRunCharts"]} >= {"BAR", "LINE", "IMAGE"}
        assert "imageproof.restored_from" in tags[NOTE]
        assert f"viewStateShareKey={VIEW.rpartition('.')[2]}&" in address(load_project(), 5000)
        before = Path("mlflow.db").read_bytes()
        store.connect(NAME)
        assert Path("mlflow.db").read_bytes() == before

    def test_leaves_views_and_a_description_of_the_users(self, tracked: Path) -> None:
        experiment, client = store.connect(NAME), MlflowClient()
        own = client.get_experiment(experiment).tags[VIEW]
        users = {"mlflow.sharedViewState.1795725668175": "theirs", NOTE: "theirs"}
        for key, value in {**users, VIEW: "of another version"}.items():
            client.set_experiment_tag(experiment, key, value)
        store.connect(NAME)
        tags = client.get_experiment(experiment).tags
        assert {key: tags[key] for key in (*users, VIEW)} == {**users, VIEW: own}


def test_interrupted_creation_leaves_none(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as context:
        context.setattr(MlflowClient, "search_experiments", Mock(side_effect=KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            store.connect("imageproof")
    assert not Path("mlflow.db").exists()


class TestAStoreThatCannotBeUsed:
    """One line that names it, and soon."""

    @pytest.fixture
    def port(self) -> Iterator[int]:
        """A port on which someone listens, but never answers."""
        with socket.create_server(("127.0.0.1", 0)) as mute:
            yield mute.getsockname()[1]

    @pytest.fixture(autouse=True)
    def _impatient(self, workspace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
        monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "1")
        monkeypatch.setenv("PGCONNECT_TIMEOUT", "2")

    def refused(self, uri: str, monkeypatch: pytest.MonkeyPatch) -> str:
        monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
        start = time.monotonic()
        line = finding(ServiceError, lambda: store.connect("imageproof"))
        assert time.monotonic() - start < 10
        return line

    def test_because_no_one_listens(self, monkeypatch: pytest.MonkeyPatch) -> None:
        assert self.refused("http://me:secret@127.0.0.1:9", monkeypatch) == (
            "MLflow at http://127.0.0.1:9: no answer, Connection refused; is the server up? "
            "(MLFLOW_TRACKING_URI says which store is asked)"
        )

    def test_because_it_never_answers(self, monkeypatch: pytest.MonkeyPatch, port: int) -> None:
        assert "no answer, timed out" in self.refused(f"http://127.0.0.1:{port}", monkeypatch)
        line = self.refused(f"postgresql://me:secret@127.0.0.1:{port}/runs", monkeypatch)
        assert f"postgresql://127.0.0.1:{port}/runs: connection timeout" in line

    def test_because_it_is_no_database(self, monkeypatch: pytest.MonkeyPatch) -> None:
        Path("mlflow.db").write_bytes(b"x" * 5000)
        line = self.refused("sqlite:///mlflow.db", monkeypatch)
        assert line.startswith(f"MLflow at sqlite:///{Path.cwd()}/mlflow.db: file is not a ")

    @pytest.mark.parametrize(
        "uri",
        [
            *("sqlite:///", "sqlite:///taken", "sqlite:///nowhere/runs.db"),
            *("sqlite:///:memory:", "sqlite:x.db", "bogus://x", "postgresql:"),
        ],
    )
    def test_because_it_is_none(self, monkeypatch: pytest.MonkeyPatch, uri: str) -> None:
        Path("taken").mkdir()
        assert len(self.refused(uri, monkeypatch)) < 400
        assert [path.name for path in Path().rglob("*")] == ["taken"]
        assert not Path(f"../{Path.cwd().name}.lock").exists()


@pytest.mark.slow
@pytest.mark.parametrize("direct", [False, True], ids=["through the server", "directly"])
def test_store_of_a_server_is_written(
    workspace: Path, mlflow_server: Server, monkeypatch: pytest.MonkeyPatch, direct: bool
) -> None:
    import mlflow

    database = f"sqlite:///{mlflow_server.folder}/mlflow.db"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", database if direct else mlflow_server.uri)
    experiment = (
        "imageproof-scoring" if direct else "imageproof-comparisons"
    )  # made by whom writes to it
    with runs.active_run("mlp", experiment=experiment, params={}, tags={}) as active:
        mlflow.log_text("text", "note.txt")
    run = MlflowClient().get_run(active.info.run_id)
    assert run.info.status == "FINISHED"
    files = MlflowClient().list_artifacts(run.info.run_id)
    assert [file.path for file in files] == ["note.txt"]


def test_run_of_an_experiment_is_named_with_it(tracked: Path) -> None:
    changed = "train.mlp.fit.epochs 8 → 20"
    with runs.active_run(
        "mlp", experiment=NAME, view=True, params={}, tags={"dvc_exp": "longer", "changed": changed}
    ) as run:
        assert run.info.run_name == "mlp (longer)"
    state = json.loads(json.loads(page.tags()[page.view_tag()])["state"])
    assert "tags.`imageproof.changed`" in state["selectedColumns"]
