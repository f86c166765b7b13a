"""MLflow: how runs end, whatever ends them, and whose children they are."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest
from helpers import active_run, finding, has_ended, only_run, until
from mlflow import MlflowClient
from support import NAME, SMALL, write_params

from imageproof.base.errors import ServiceError
from imageproof.mlflow import _store


def test_run_fails_with_a_line_where_mlflow_refuses_params(tracked):
    def log():
        with active_run("mlp", params={"../x": 1}, tags={}):
            pass

    assert finding(ServiceError, log).startswith(f"MLflow at sqlite:///{tracked}/mlflow.db")
    assert only_run(MlflowClient()).info.status == "FAILED"  # MLflow's atexit: FINISHED


def test_run_ends_where_nothing_can_be_printed(mlflow_server, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", mlflow_server)
    monkeypatch.setattr(sys, "stdout", sys.__stdin__)  # as if the reader were gone
    with pytest.raises(SystemExit), active_run("mlp", params={}, tags={}):
        sys.exit(143)
    assert only_run(MlflowClient()).info.status == "KILLED"


@pytest.mark.usefixtures("tracked")
def test_run_is_killed_with_the_reader_of_its_output():
    reader, writer = os.pipe()
    os.close(reader)
    with pytest.raises(BrokenPipeError), active_run("mlp", params={}, tags={}):
        os.write(writer, b"mlp epoch 1/30")
    assert only_run(MlflowClient()).info.status == "KILLED"


@pytest.mark.slow
def test_run_is_killed_with_its_stage_and_its_curves_were_live(project):
    write_params({**SMALL, "train.mlp.fit.epochs": 100_000})
    command = [sys.executable, "-m", "digits.stages.train", "mlp"]
    stage = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert stage.stdout.readline().startswith("mlp: ")  # steps
    assert stage.stdout.readline().startswith("mlp epoch 1/100000  loss ")
    client = MlflowClient(f"sqlite:///{project}/mlflow.db")
    live = only_run(client)
    curve = client.get_metric_history(live.info.run_id, "val_loss")
    children = psutil.Process(stage.pid).children(recursive=True)
    stage.send_signal(signal.SIGTERM)
    _, stderr = stage.communicate(timeout=60)

    assert (live.info.status, curve[0].step) == ("RUNNING", 1)
    assert (stage.returncode, stderr) == (143, "")
    assert only_run(client).info.status == "KILLED"
    assert not Path("artifacts/train").exists()
    assert until(lambda: all(has_ended(child.pid) for child in children))


def test_runs_under_mlflow_run_are_its_children(tracked, monkeypatch):
    _store.connect(NAME)
    client = MlflowClient()
    parent = client.create_run(client.create_experiment("of the user"))
    monkeypatch.setenv("MLFLOW_RUN_ID", parent.info.run_id)
    for name in ("mlp", "cnn"):
        with active_run(name, params={"model": name}, tags={}):
            pass
    *children, first = client.search_runs([parent.info.experiment_id])
    assert (first.info.run_id, first.info.status) == (parent.info.run_id, "RUNNING")
    assert [run.data.params["model"] for run in children] == ["cnn", "mlp"]
    parents = [run.data.tags["mlflow.parentRunId"] for run in children]
    assert parents == [parent.info.run_id] * 2
    assert "MLFLOW_RUN_ID" not in os.environ
