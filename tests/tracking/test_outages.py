"""Servers that are away: what a training logs waits in .state/spool, and a promotion waits."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any
from uuid import uuid4

import arena
import pytest
import requests
from flows.team.control import Team
from mlflow import MlflowClient
from mlflow.entities import Run
from small_project import Project
from support import SMALL, finding, write_params

from digits.core import errors
from digits.core.artifacts import TrainOutputs
from digits.core.dataset import Dataset
from digits.core.errors import ServiceError, UsageError
from digits.evaluation.gate import Decision
from digits.params import project as project_params
from digits.registry import promotion
from digits.registry.versions import Registry
from digits.tracking import restore, runs, spool, store

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("elsewhere")]
EPOCHS = 20
CURVES = ("loss", "accuracy", "val_loss", "val_accuracy")


@pytest.fixture
def elsewhere(project: Path, team: Team, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A project that logs to the team's servers, in an experiment of its own."""
    team.start("mlflow")
    for name, value in team.env.items():
        monkeypatch.setenv(name, value)
    name = f"outages-{uuid4().hex[:8]}"
    changes = {"project.name": name, "promote.max_latency_ms": None}  # how fast decides nothing
    write_params({**SMALL, **changes, "train.mlp.fit.epochs": EPOCHS})
    yield
    team.start("mlflow")


def stage(name: str) -> "subprocess.Popen[str]":
    command = [sys.executable, "-u", "-m", f"digits.stages.{name}", "mlp"]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def wait_for_epoch(training: "subprocess.Popen[str]", number: int) -> None:
    assert training.stdout is not None
    for line in training.stdout:
        if line.startswith(f"mlp epoch {number}/"):
            return
    raise AssertionError(training.stderr and training.stderr.read())


@contextmanager
def paused(training: "subprocess.Popen[str]") -> Iterator[None]:
    """A training of few epochs that does not end while a server stops or starts."""
    training.send_signal(signal.SIGSTOP)
    yield
    training.send_signal(signal.SIGCONT)


def stop_after_epoch(number: int, training: "subprocess.Popen[str]", team: Team, name: str) -> None:
    wait_for_epoch(training, number)
    with paused(training):
        team.stop(name)


def end_of(process: "subprocess.Popen[str]") -> str:
    """What a stage that succeeds wrote to stderr."""
    _, stderr = process.communicate(timeout=300)
    assert process.returncode == 0, stderr
    return stderr


def waiting() -> list[str]:
    return [path.parent.name for path in spool.FOLDER.glob("*/*/record.json")]


def the_run() -> Run:
    [run] = runs.find("", store.connect())
    return run


def assert_whole(run: Run) -> None:
    """A training and its evaluation, nothing lost and nothing doubled."""
    client, run_id = MlflowClient(), run.info.run_id
    assert run.info.status == "FINISHED"
    for name in CURVES:
        steps = [point.step for point in client.get_metric_history(run_id, name)]
        assert sorted(steps) == list(range(EPOCHS))
    for name in run.data.metrics.keys() - CURVES:
        assert len(client.get_metric_history(run_id, name)) == 1
    [logged] = run.outputs.model_outputs
    [model] = client.search_logged_models([run.info.experiment_id])
    assert (model.model_id, str(model.status)) == (logged.model_id, "READY")
    assert {metric.key for metric in model.metrics or []} >= {"elapsed_s", "test_accuracy"}
    assert len(client.list_artifacts(run_id, "images")) == 4
    assert {each.dataset.name for each in run.inputs.dataset_inputs} == {
        *("train", "validation", "test", "holdout")
    }


def test_each_server_away_in_turn_costs_a_training_nothing(team: Team) -> None:
    training = stage("train")
    for number, name in ((2, "mlflow"), (7, "postgres"), (12, "s3")):
        stop_after_epoch(number, training, team, name)
        wait_for_epoch(training, number + 3)
        with paused(training):
            team.start(name)
    stderr = end_of(training)
    assert "what is logged waits in .state/spool" in stderr
    assert stderr.count("\n") == 1
    assert end_of(stage("evaluate")) == ""
    assert waiting() == []
    assert_whole(the_run())


def test_a_server_away_at_the_end_gets_the_rest_from_the_next_command(team: Team) -> None:
    training = stage("train")
    stop_after_epoch(EPOCHS - 5, training, team, "nginx")
    for stderr in (end_of(training), end_of(stage("evaluate"))):
        assert "what is logged waits in .state/spool" in stderr
        assert stderr.count("\n") == 1
    assert TrainOutputs("mlp").read_run().model_id == ""
    team.start("nginx")
    restore.restore_all()
    assert waiting() == []
    assert_whole(the_run())


def test_a_killed_training_leaves_its_curves_to_the_next_command(team: Team) -> None:
    training = stage("train")
    stop_after_epoch(2, training, team, "nginx")
    wait_for_epoch(training, 8)
    training.kill()
    training.communicate()
    team.start("nginx")
    with runs.active_run("next", params={}, tags={}):
        pass
    [killed] = [run for run in runs.find("", store.connect()) if run.info.status == "KILLED"]
    curve = MlflowClient().get_metric_history(killed.info.run_id, "loss")
    assert len(curve) >= 8
    assert [point.step for point in curve] == [*range(len(curve))]
    assert waiting() == []


def test_what_the_server_will_never_take_is_an_error() -> None:
    def log_to_a_deleted_run() -> None:
        with runs.active_run("deleted", params={}, tags={}) as active:
            MlflowClient().delete_run(active.info.run_id)
            runs.log_metrics({"accuracy": 1.0})

    assert "must be in the 'active' state" in finding(ServiceError, log_to_a_deleted_run)
    assert waiting() == []


def test_a_wrong_key_of_dvcs_remote_is_told_as_what_no_second_try_mends(
    dvc_project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the command with which a flow asks the remote; it asks again after exit code 4."""
    remote = "[core]\n    remote = team\n['remote \"team\"']\n    url = s3://digits\n"
    (dvc_project.root / ".dvc/config.local").write_text(remote)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wrong")
    command = [sys.executable, "-m", "digits.core.remote", "train@mlp"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert done.stderr.startswith("error: remote s3://digits: ")
    assert (done.returncode, done.stderr.count("\n")) == (UsageError.exit_code, 1)


@pytest.fixture
def name(digits_8x8: Dataset) -> str:
    """The registered model of the project, which has what the gate judges by."""
    arena.prepare(digits_8x8)
    store.connect()
    return project_params().name


def assert_moved(name: str, *after: str) -> None:
    """One chain to these versions; each decision had one turn, which is over."""
    moves = Registry(name).moves()
    assert [(move.number, move.before, move.after, move.done) for move in moves] == [
        (number, before, version, True)
        for number, (before, version) in enumerate(zip((None, *after), after, strict=False), 1)
    ]
    assert Registry(name).champion() == (after[-1] if after else None)
    [ledger] = MlflowClient().search_experiments(filter_string=f"name LIKE '{name}-decisions%'")
    turns = MlflowClient().search_runs([ledger.experiment_id])
    assert {turn.info.status for turn in turns} == {"FINISHED"}
    assert len(turns) == max(len(after), 1) + 1


@pytest.mark.parametrize("away", ["mlflow", "s3"])
def test_a_promotion_waits_for_a_server_that_is_away(
    team: Team, name: str, away: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PREFECT_API_URL", "")  # nobody there is told
    run_id = arena.fighter().run_id
    team.stop(away)
    command = [Path(sys.executable).with_name("digits"), "promote", "--run", run_id]
    with subprocess.Popen(command, stdout=-1, stderr=-1, text=True) as promoting:
        assert promoting.stderr is not None
        said = promoting.stderr.readline()
        team.start(away)
        assert "does not answer; waiting for up to 120 s" in said
        assert end_of(promoting) == ""
    assert_moved(name, "1")


@contextmanager
def losing_answers(address: str) -> Iterator[str]:
    """A way to a server on which the first answer to each request gets lost; the work is done."""
    seen = set()

    class Way(BaseHTTPRequestHandler):
        def forward(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            headers = {k: v for k, v in self.headers.items() if k not in ("Host", "Connection")}
            answer = requests.request(
                self.command, address + self.path, headers=headers, data=body, timeout=60
            )
            if (request := (self.command, self.path, body)) not in seen:
                seen.add(request)
                return
            self.send_response(answer.status_code)
            self.send_header("Content-Length", str(len(answer.content)))
            self.send_header("Content-Type", answer.headers.get("Content-Type", ""))
            self.end_headers()
            self.wfile.write(answer.content)

        def log_message(self, *_: object) -> None:
            pass

    for method in ("GET", "POST", "PUT", "PATCH", "DELETE"):
        setattr(Way, f"do_{method}", Way.forward)
    with ThreadingHTTPServer(("127.0.0.1", 0), Way) as server:
        Thread(target=server.serve_forever).start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()


def test_decisions_whose_every_answer_is_lost_once_are_made_once(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    trained = [arena.fighter(), arena.fighter()]
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    monkeypatch.setattr(errors, "PAUSE_S", 0.01)
    address = os.environ["MLFLOW_TRACKING_URI"]
    with losing_answers(address) as way:
        monkeypatch.setenv("MLFLOW_TRACKING_URI", way)
        store.patiently(store.connect)
        for run in trained:
            assert promotion.promote(run, name, judge=arena.accept).moved
        promotion.rollback(name)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", address)
    store.connect()
    assert_moved(name, "1", "2", "1")
    assert len(MlflowClient().search_model_versions(f"name = '{name}'")) == 2


def test_a_promotion_gives_up_in_a_line_and_its_turn_ends_when_the_server_is_back(
    team: Team, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = arena.fighter()
    monkeypatch.setattr(errors, "PATIENCE_S", 1.0)

    def judge(*asked: Any) -> Decision:
        team.stop("mlflow")
        return arena.accept(*asked)

    def promote() -> None:
        with store.service_errors():
            promotion.promote(run, name, judge=judge)

    line = finding(ServiceError, promote)
    assert line.startswith("MLflow at http")
    team.start("mlflow")
    spool.send_left()
    assert_moved(name)
