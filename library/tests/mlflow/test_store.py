"""The tracking store works from the start, or says in one line why it does not."""

import json
import socket
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import mlflow
import pytest
from example import NAME, load_project
from helpers import active_run, finding, only_run
from mlflow import MlflowClient

from imageproof.base.errors import ServiceError
from imageproof.cli._ui import address
from imageproof.mlflow import _store
from imageproof.mlflow._page import NOTE
from imageproof.system import _process

VIEW = "mlflow.sharedViewState.imageproof"


def test_store_is_the_users_or_beside_the_project(tracked, monkeypatch):
    secret = "postgresql://127.0.0.1/runs?password=secret"
    for uri, used, recorded in (
        ("sqlite:///x/r.db", f"sqlite:///{tracked}/x/r.db", "sqlite:///x/r.db"),
        ("sqlite:////var/r.db", "sqlite:////var/r.db", "sqlite:////var/r.db"),
        ("http://me:secret@host:5000", "http://me:secret@host:5000", "http://host:5000"),
        (secret, secret, "postgresql://127.0.0.1/runs"),
    ):
        monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
        assert (_store.tracking_uri(), _store.portable_uri()) == (used, recorded)
    monkeypatch.delenv("MLFLOW_TRACKING_URI")
    assert _store.tracking_uri() == f"sqlite:///{tracked}/mlflow.db"
    _store.connect(NAME)  # MLflow then puts the whole path into the environment
    assert _store.portable_uri() == "sqlite:///mlflow.db"


def test_store_is_shared_with_a_copy(tracked, monkeypatch):
    (tracked / "copy").mkdir()
    monkeypatch.chdir(tracked / "copy")
    monkeypatch.setenv("DVC_ROOT", str(tracked))
    with active_run("mlp", params={}, tags={}):
        pass
    assert only_run(MlflowClient(f"sqlite:///{tracked}/mlflow.db"))
    assert list(Path().iterdir()) == []


def test_metric_is_not_given_to_the_users_model(tracked, monkeypatch):
    monkeypatch.setenv("MLFLOW_ACTIVE_MODEL_ID", "m-1")  # which each thread reads at its start
    _process.set_environment()

    def log():
        with active_run("mlp", params={}, tags={}):
            mlflow.log_metric("loss", 1.0)

    with ThreadPoolExecutor(1) as pool:
        pool.submit(log).result()
    assert only_run(MlflowClient()).data.metrics == {"loss": 1.0}


def test_deleted_experiment_is_taken_back(tracked):
    experiment, client = _store.connect(NAME), MlflowClient()
    client.delete_experiment(experiment)
    assert _store.connect(NAME) == experiment
    restored = client.get_experiment(experiment)
    assert restored.lifecycle_stage == "active"
    assert restored.artifact_location == (tracked / "mlartifacts").as_uri()


def test_view_is_written_once_and_leaves_the_users(tracked):
    experiment, client = _store.connect(NAME), MlflowClient()
    tags = client.get_experiment(experiment).tags
    state = json.loads(json.loads(tags[VIEW])["state"])
    assert "tags.`imageproof.changed`" in state["selectedColumns"]
    assert "imageproof.restored_from" in tags[NOTE]
    assert "viewStateShareKey=imageproof&" in address(load_project(), 5000)
    before = Path("mlflow.db").read_bytes()
    _store.connect(NAME)
    assert Path("mlflow.db").read_bytes() == before
    users = {"mlflow.sharedViewState.1795725668175": "theirs", NOTE: "theirs"}
    for key, value in {**users, VIEW: "of another version"}.items():
        client.set_experiment_tag(experiment, key, value)
    _store.connect(NAME)
    assert client.get_experiment(experiment).tags == tags | users


def test_run_of_an_experiment_is_named_with_it(tracked):
    with active_run("mlp", params={}, tags={"dvc_exp": "longer"}) as run:
        assert run.info.run_name == "mlp (longer)"


@pytest.fixture
def mute():
    """A port on which someone listens, but never answers."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield listening.getsockname()[1]


ANSWERS = {"empty": b"", "wrong": b'{"experiment": 5}', "half": b'{"exp'}


class Nonsense(BaseHTTPRequestHandler):
    """It answers each request by what the first name of its path stands for."""

    def do_GET(self):
        name = self.path.split("/")[1]
        self.send_response(200)
        self.send_header("Content-Length", str(len(ANSWERS[name]) + 10 * (name == "half")))
        self.end_headers()
        self.wfile.write(ANSWERS[name])

    def log_message(self, *_):
        pass


@pytest.fixture
def nonsense():
    """The port of a server that is none of MLflow's."""
    with ThreadingHTTPServer(("127.0.0.1", 0), Nonsense) as server:
        Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}).start()
        yield server.server_port
        server.shutdown()


REFUSED = {
    "http://me:secret@127.0.0.1:9": "MLflow at http://127.0.0.1:9: no answer, Connection refused; "
    "is the server up? (MLFLOW_TRACKING_URI says which store is asked)",
    "http://127.0.0.1:{mute}": "no answer, timed out",
    "http://127.0.0.1:{nonsense}/empty": "its answers are not those of an MLflow server",
    "http://127.0.0.1:{nonsense}/wrong": "Failed to parse experiment field",
    "http://127.0.0.1:{nonsense}/half": "IncompleteRead(5 bytes read, 10 more expected)",
    "sqlite:///broken": "/broken: file is not a database",
    "sqlite:///taken": "sqlite:///PATH is the only form",
    "sqlite:///nowhere/runs.db": "sqlite:///PATH is the only form",
    "sqlite:///:memory:": "sqlite:///PATH is the only form",
    "sqlite:x.db": "sqlite:///PATH is the only form",
    "sqlite:///x.db?mode=ro": "sqlite:///PATH is the only form",
    "bogus://x": "MLflow at bogus://x: ",
}


@pytest.mark.parametrize("uri", REFUSED)
def test_unusable_store_is_one_line(workspace, mute, nonsense, monkeypatch, uri):
    ports = {"mute": mute, "nonsense": nonsense}
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "1")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri.format(**ports))
    Path("taken").mkdir()
    Path("broken").write_bytes(b"x" * 5000)
    line = finding(ServiceError, _store.connect, "imageproof")
    assert REFUSED[uri].format(**ports) in line
    assert len(line) < 400
    assert {path.name for path in workspace.rglob("*")} <= {"taken", "broken", "broken.lock"}
    assert not workspace.with_suffix(".lock").exists()
