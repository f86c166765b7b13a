"""The tracking store works from the start, or says in one line why it does not."""

import sqlite3
from pathlib import Path

import pytest
from example import NAME
from helpers import finding
from mlflow import MlflowClient

from imageproof.base.errors import ServiceError
from imageproof.mlflow import _store
from imageproof.mlflow._page import NOTE

VIEW = "mlflow.sharedViewState.imageproof"


def test_store_is_the_users_or_beside_the_project(tracked, monkeypatch):
    for uri, used, recorded in (
        ("sqlite:///x/r.db", f"sqlite:///{tracked}/x/r.db", "sqlite:///x/r.db"),
        ("sqlite:////var/r.db", "sqlite:////var/r.db", "sqlite:////var/r.db"),
        ("http://me:secret@host:5000", "http://me:secret@host:5000", "http://host:5000"),
    ):
        monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
        assert (_store.tracking_uri(), _store.portable_uri()) == (used, recorded)
    monkeypatch.delenv("MLFLOW_TRACKING_URI")
    assert _store.tracking_uri() == f"sqlite:///{tracked}/mlflow.db"
    _store.connect(NAME)  # MLflow then puts the whole path into the environment
    assert _store.portable_uri() == "sqlite:///mlflow.db"
    monkeypatch.delenv("MLFLOW_TRACKING_URI")
    monkeypatch.chdir(tracked.parent)
    monkeypatch.setenv("DVC_ROOT", str(tracked))  # as in a copy
    assert _store.tracking_uri() == f"sqlite:///{tracked}/mlflow.db"


def test_deleted_experiment_is_taken_back(tracked):
    experiment = _store.connect(NAME)
    client = MlflowClient()
    client.delete_experiment(experiment)
    assert _store.connect(NAME) == experiment
    restored = client.get_experiment(experiment)
    assert restored.lifecycle_stage == "active"
    assert restored.artifact_location == (tracked / "mlartifacts").as_uri()


def test_view_is_written_once_and_leaves_the_users(tracked):
    experiment = _store.connect(NAME)
    client = MlflowClient()
    tags = client.get_experiment(experiment).tags
    assert "tags.`imageproof.changed`" in tags[VIEW]
    database = Path("mlflow.db").read_bytes()
    _store.connect(NAME)
    assert Path("mlflow.db").read_bytes() == database
    users = {"mlflow.sharedViewState.1795725668175": "theirs", NOTE: "theirs"}
    for key, value in {**users, VIEW: "of another version"}.items():
        client.set_experiment_tag(experiment, key, value)
    _store.connect(NAME)
    assert client.get_experiment(experiment).tags == tags | users


def test_database_that_takes_no_row_is_one_line(tracked, capfd):
    _store.connect(NAME)
    Path("mlflow.db-journal").mkdir()  # which a new row needs as a file
    line = "/mlflow.db: disk I/O error \\(MLFLOW_TRACKING_URI says"
    with pytest.raises(ServiceError, match=line), _store.service_errors():
        MlflowClient().create_experiment("new")
    assert capfd.readouterr().err == ""


def test_error_of_another_database_passes():
    error = ServiceError("features: damaged")
    error.__context__ = sqlite3.DatabaseError()
    with pytest.raises(ServiceError) as raised, _store.service_errors():
        raise error
    assert raised.value is error


def test_full_disk_is_one_line(workspace, disk, monkeypatch):
    uri = f"sqlite:///{disk}/mlflow.db"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    line = finding(ServiceError, _store.connect, NAME)
    assert line.startswith(f"MLflow at {uri}: database or disk is full (")
    assert not (disk / "mlflow.db").exists()


@pytest.mark.parametrize(
    ("uri", "text"),
    [
        ("http://me:secret@127.0.0.1:9", "MLflow at http://127.0.0.1:9: no answer, Connection ref"),
        ("sqlite:///broken", "/broken: file is not a database"),
        ("sqlite:///nowhere/runs.db", "sqlite:///PATH is the only form"),
        ("sqlite:///folder", "/folder: unable to open database file"),
        ("bogus://x", "MLflow at bogus://x: "),
    ],
)
def test_unusable_store_is_one_line(workspace, monkeypatch, uri, text):
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    Path("broken").write_bytes(b"x" * 5000)
    Path("folder").mkdir()
    assert text in finding(ServiceError, _store.connect, NAME)
    assert {path.stem for path in workspace.rglob("*")} == {"broken", "folder"}
