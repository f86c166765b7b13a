"""MLflow's server goes away: a training goes on, and nothing is lost or logged twice."""

import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from uuid import uuid4

import arena
import mlflow
import pytest
import requests
from helpers import Server, finding, mlflow_serves, record_outputs
from mlflow import MlflowClient
from mlflow.entities import Run
from support import NAME, SMALL, write_params

from digits.project import load_project
from imageproof.artifacts import WORKSPACE
from imageproof.base.dataset import Dataset
from imageproof.base.errors import ServiceError
from imageproof.mlflow import live, runs, store
from imageproof.mlflow.restore import restore_all
from imageproof.registry.promotion import promote, rollback
from imageproof.registry.versions import Registry

NOWHERE = "http://127.0.0.1:9"
EPOCHS = 20
CURVES = ("loss", "accuracy", "val_loss", "val_accuracy")


def the_run() -> Run:
    """The only finished run."""
    [run] = runs.find("attributes.status = 'FINISHED'", store.connect(NAME), limit=2)
    return run


def assert_whole(run: Run, epochs: int) -> None:
    """A training and its evaluation, nothing lost and nothing doubled."""
    client, run_id = MlflowClient(), run.info.run_id
    for name in CURVES:
        steps = [point.step for point in client.get_metric_history(run_id, name)]
        assert steps == [*range(epochs)]
    for name in run.data.metrics.keys() - CURVES:
        assert len(client.get_metric_history(run_id, name)) == 1
    [logged] = run.outputs.model_outputs
    model = client.get_logged_model(logged.model_id)
    assert str(model.status) == "READY"
    assert {metric.key for metric in model.metrics or []} >= {"elapsed_s", "test_accuracy"}
    assert len(client.list_artifacts(run_id, "images")) == 4
    assert {each.dataset.name for each in run.inputs.dataset_inputs} == {
        *("train", "validation", "test", "holdout")
    }


class Way:
    """A way to a server: `is_open`; while `loses` it drops the first answer to each request."""

    def __init__(self, address: str) -> None:
        self.is_open, self.loses = True, False
        seen, way = set(), self

        class Handler(BaseHTTPRequestHandler):
            def forward(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                if not way.is_open:
                    return
                headers = {k: v for k, v in self.headers.items() if k not in ("Host", "Connection")}
                answer = requests.request(
                    self.command, address + self.path, headers=headers, data=body, timeout=60
                )
                if way.loses and (request := (self.command, self.path, body)) not in seen:
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
            setattr(Handler, f"do_{method}", Handler.forward)
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.address = f"http://127.0.0.1:{self.server.server_port}"


@pytest.fixture
def way(project: Path, mlflow_server: Server, monkeypatch: pytest.MonkeyPatch) -> Iterator[Way]:
    """A way to a server, in a project of its own there, with quick retries."""
    write_params({**SMALL, "project.name": f"p-{uuid4().hex[:8]}", "promote.max_latency_ms": None})
    way = Way(mlflow_server.uri)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", way.address)
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR", "0")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_BACKOFF_JITTER", "0")
    with way.server:
        Thread(target=way.server.serve_forever, kwargs={"poll_interval": 0.01}).start()
        yield way
        way.server.shutdown()


def log_epochs(way: Way, closed: tuple[int, ...], epochs: int = 6) -> str:
    """A run with these epochs, of which some are logged while the way is closed."""
    with live.training_run("mlp", load_project(), params={}, tags={}) as run:
        for epoch in range(epochs):
            way.is_open = epoch not in closed
            run.log_epoch(epoch, {"loss": 1 / (epoch + 1)})
    return run.run_id


def loss_of(run_id: str) -> list[tuple[int, float]]:
    return [(p.step, p.value) for p in MlflowClient().get_metric_history(run_id, "loss")]


ALL_SIX = [(epoch, 1 / (epoch + 1)) for epoch in range(6)]


@pytest.mark.parametrize("again_s", [0, 20], ids=["sent in between", "sent at the end"])
def test_epochs_of_an_outage_arrive_once(
    way: Way, again_s: float, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(live, "RETRY_AFTER_S", again_s)
    run_id = log_epochs(way, closed=(2, 3))
    assert loss_of(run_id) == ALL_SIX
    assert MlflowClient().get_run(run_id).info.status == "FINISHED"
    assert "warning" not in capsys.readouterr().err


def test_epochs_of_lost_answers_are_logged_once(way: Way, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live, "RETRY_AFTER_S", 0)
    store.connect(NAME)
    way.loses = True
    assert loss_of(log_epochs(way, closed=())) == ALL_SIX


def test_absent_server_is_told_once(way: Way, capsys: pytest.CaptureFixture[str]) -> None:
    run_id = log_epochs(way, closed=(4, 5))
    assert capsys.readouterr().err.count("warning: MLflow at http") == 1
    way.is_open = True
    assert MlflowClient().get_run(run_id).info.status == "RUNNING"  # it could not be told


def test_a_run_that_lacks_something_is_failed(way: Way) -> None:
    with live.training_run("mlp", load_project(), params={}, tags={}) as run:
        way.is_open = False
        run.attempt(lambda: mlflow.log_metrics({"elapsed_s": 1}))
        way.is_open = True
        assert run.attempt(lambda: "skipped") is None
    assert MlflowClient().get_run(run.run_id).info.status == "FAILED"


def test_user_sets_how_often_a_request_is_repeated(monkeypatch: pytest.MonkeyPatch) -> None:
    def retries() -> str | None:
        with store.with_retries():
            return store.os.environ.get("MLFLOW_HTTP_REQUEST_MAX_RETRIES")

    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")  # inherited from `digits run`
    assert retries() == "6"
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "3")
    assert retries() == "3"


@pytest.mark.usefixtures("tensorflow")
def test_training_without_a_server_is_logged_by_restore(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from digits.stages import evaluate, train

    with monkeypatch.context() as context:
        context.setenv("MLFLOW_TRACKING_URI", NOWHERE)
        context.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
        for stage in (train, evaluate):
            stage.main("mlp")
            assert capsys.readouterr().err.count("warning: MLflow at http") == 1
    record_outputs()
    restore_all(load_project())
    run = the_run()
    assert run.data.tags["digits.restored_from"] == WORKSPACE.trained("mlp").read_run().run_id
    assert_whole(run, len(WORKSPACE.trained("mlp").read_history()))
    capsys.readouterr()
    restore_all(load_project())
    assert capsys.readouterr().out == ""
    assert the_run().to_dictionary() == run.to_dictionary()


class TestDecisions:
    @pytest.fixture
    def name(self, way: Way, images_8x8: Dataset) -> str:
        arena.prepare(images_8x8)
        store.connect(NAME)
        return load_project().name

    def after(self, name: str) -> list[str | None]:
        """Where each move led; a chain, and the last one is the champion."""
        moves = Registry(name).moves()
        assert [move.before for move in moves[1:]] == [move.after for move in moves[:-1]]
        assert [move.number for move in moves] == [*range(1, len(moves) + 1)]
        return [move.after for move in moves]

    def test_whose_every_answer_is_lost_once_are_made_once(self, way: Way, name: str) -> None:
        trained = [arena.fighter(), arena.fighter()]
        way.loses = True
        for run in trained:
            assert promote(run, name, judge=arena.accept).move
        rollback(name)
        first, second, last = self.after(name)
        assert first == last != second

    def test_give_up_in_a_line(self, way: Way, name: str) -> None:
        run = arena.fighter()

        def judge(*asked: object) -> object:
            way.is_open = False
            return arena.accept(*asked)  # type: ignore[arg-type]

        def decide() -> None:
            with store.service_errors():
                promote(run, name, judge=judge)  # type: ignore[arg-type]

        assert finding(ServiceError, decide).startswith("MLflow at http")
        way.is_open = True
        assert Registry(name).champion() is None
        assert self.after(name) == []


class Killable:
    """An MLflow server that is killed and started again on its port."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._serving = mlflow_serves(folder)
        self.uri = self._serving.__enter__().uri

    def kill(self) -> None:
        with suppress(Exception):
            self._serving.__exit__(None, None, None)

    def start(self) -> None:
        port = self.uri.rpartition(":")[2]
        self._serving = mlflow_serves(self._folder, port=int(port))
        self._serving.__enter__()


@pytest.fixture
def server(project: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Killable]:
    """A project that logs to a server; it keeps its runs in the project's folder."""
    server = Killable(project)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", server.uri)
    write_params({**SMALL, "train.mlp.fit.epochs": EPOCHS})
    yield server
    server.kill()


def stage(name: str) -> "subprocess.Popen[str]":
    command = [sys.executable, "-u", "-m", f"digits.stages.{name}", "mlp"]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


@contextmanager
def paused_after(epoch: int, training: "subprocess.Popen[str]") -> Iterator[None]:
    """A training of few epochs that does not end while a server stops or starts."""
    assert training.stdout is not None
    lines = iter(training.stdout)
    assert any(line.startswith(f"mlp epoch {epoch}/") for line in lines), training.stderr.read()
    training.send_signal(signal.SIGSTOP)
    yield
    training.send_signal(signal.SIGCONT)


def end_of(process: "subprocess.Popen[str]") -> str:
    """What a stage that succeeds wrote to stderr."""
    _, stderr = process.communicate(timeout=300)
    assert process.returncode == 0, stderr
    return stderr


@pytest.mark.slow
def test_server_killed_while_training_loses_nothing(server: Killable) -> None:
    training = stage("train")
    with paused_after(2, training):
        server.kill()
    with paused_after(7, training):
        server.start()
    assert end_of(training) == ""
    assert end_of(stage("evaluate")) == ""
    assert_whole(the_run(), EPOCHS)


@pytest.mark.slow
def test_restore_completes_a_half_run(server: Killable, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")
    training = stage("train")
    with paused_after(2, training):
        server.kill()
    assert end_of(training).count("\n") == 1
    assert end_of(stage("evaluate")).count("\n") == 1
    server.start()
    record_outputs()
    restore_all(load_project())
    run = the_run()
    assert_whole(run, EPOCHS)
    restore_all(load_project())
    assert the_run().to_dictionary() == run.to_dictionary()


@pytest.mark.slow
def test_signal_while_the_server_is_away_ends_a_training_at_once(server: Killable) -> None:
    write_params({**SMALL, "train.mlp.fit.epochs": 100_000})
    training = stage("train")
    with paused_after(2, training):
        server.kill()
    with paused_after(5, training):
        pass
    sent = time.monotonic()
    training.send_signal(signal.SIGTERM)
    training.communicate(timeout=60)
    assert training.returncode == 143
    assert time.monotonic() - sent < 10  # 5 s on a machine that does nothing else
