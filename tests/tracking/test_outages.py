"""MLflow's server goes away: a training goes on, and nothing is lost or logged twice."""

from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from uuid import uuid4

import arena
import mlflow
import pytest
import requests
from helpers import only_run, record_outputs
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException
from support import SMALL, write_params

from digits.project import load_project
from imageproof.artifacts import WORKSPACE
from imageproof.mlflow import _store, live
from imageproof.mlflow.restore import restore_all
from imageproof.registry._promotion import promote, rollback
from imageproof.registry._seen_rows import read_rows, rows_of_split
from imageproof.registry._version import find_origin
from imageproof.registry._versions import Registry


class Way:
    """A way to a server: `is_open`; while `loses` it drops the first answer to each request.

    While it `cuts`, half of each file arrives.
    """

    def __init__(self, address):
        self.is_open = True
        self.loses = False
        self.cuts = False
        self.closed_to = 0  # requests that came while it was not open
        requested = set()
        way = self

        class Handler(BaseHTTPRequestHandler):
            def forward(self):
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                if not way.is_open:
                    way.closed_to += 1
                    return
                headers = {k: v for k, v in self.headers.items() if k not in ("Host", "Connection")}
                answer = requests.request(
                    self.command, address + self.path, headers=headers, data=body, timeout=60
                )
                request = (self.command, self.path, body)
                if way.loses and request not in requested:
                    requested.add(request)
                    return
                self.send_response(answer.status_code)
                self.send_header("Content-Length", str(len(answer.content)))
                self.send_header("Content-Type", answer.headers.get("Content-Type", ""))
                self.end_headers()
                half = way.cuts and "/artifacts/" in self.path
                self.wfile.write(answer.content[: len(answer.content) // 2 if half else None])

            def log_message(self, *_):
                pass

        for method in ("GET", "POST", "PUT", "PATCH", "DELETE"):
            setattr(Handler, f"do_{method}", Handler.forward)
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.address = f"http://127.0.0.1:{self.server.server_port}"


@pytest.fixture
def way(project, mlflow_server, monkeypatch):
    """A way to a server, in a project of its own there, with quick retries."""
    # under a name that no experiment of the server has
    changes = {"project.name": f"p-{uuid4().hex[:8]}", "promote.max_latency_ms": None}
    write_params(SMALL | changes)
    way = Way(mlflow_server)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", way.address)
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR", "0")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_BACKOFF_JITTER", "0")
    with way.server:
        Thread(target=way.server.serve_forever, kwargs={"poll_interval": 0.01}).start()
        yield way
        way.server.shutdown()


def log_epochs(way, closed):
    """A run with six epochs, of which some are logged while the way is closed."""
    with live.training_run("mlp", load_project(), params={}, tags={}) as run:
        for epoch in range(6):
            way.is_open = epoch not in closed
            run.log_epoch(epoch, {"loss": 1 / (epoch + 1)})
    return run.run_id


@pytest.mark.parametrize(
    ("again_s", "loses", "tries"), [(0, False, 2), (20, False, 1), (0, True, 0)]
)
def test_epochs_of_an_outage_arrive_once(way, again_s, loses, tries, monkeypatch, capsys):
    monkeypatch.setattr(live, "RETRY_AFTER_S", again_s)
    way.loses = loses
    run_id = log_epochs(way, closed=() if loses else (2, 3))
    assert way.closed_to == tries
    points = MlflowClient().get_metric_history(run_id, "loss")
    assert [(p.step, p.value) for p in points] == [(epoch, 1 / (epoch + 1)) for epoch in range(6)]
    assert MlflowClient().get_run(run_id).info.status == "FINISHED"
    assert capsys.readouterr().err == ""


def test_run_that_lacks_something_is_not_finished(way, capsys):
    run_id = log_epochs(way, closed=(4, 5))
    assert capsys.readouterr().err.count("warning: MLflow at http") == 1
    way.is_open = True
    assert MlflowClient().get_run(run_id).info.status == "RUNNING"  # it could not be told
    with live.training_run("mlp", load_project(), params={}, tags={}) as run:
        way.is_open = False
        run.attempt(lambda: mlflow.log_metrics({"elapsed_s": 1}))
        way.is_open = True
        assert run.attempt(lambda: "skipped") is None
    assert MlflowClient().get_run(run.run_id).info.status == "FAILED"


@pytest.mark.usefixtures("tensorflow")
def test_training_without_a_server_is_logged_by_restore(project, monkeypatch, capsys):
    from digits.stages import evaluate, train

    with monkeypatch.context() as context:
        context.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
        context.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
        for module in (train, evaluate):
            module.main("mlp")
            assert capsys.readouterr().err.count("warning: MLflow at http") == 1
    record_outputs()
    for _ in range(2):
        restore_all(load_project())
    client = MlflowClient()
    run = only_run(client)
    outputs = WORKSPACE.trained("mlp")
    assert run.data.tags["digits.restored_from"] == outputs.read_run().run_id
    curve = client.get_metric_history(run.info.run_id, "val_loss")
    assert len(curve) == len(outputs.read_history())  # nothing is lost, and nothing doubled
    assert run.data.metrics.keys() > {"elapsed_s", "test_accuracy"}


@pytest.fixture
def name(way, images_8x8):
    arena.prepare(images_8x8)
    _store.connect(load_project().name)
    return load_project().name


def test_decisions_whose_answers_are_lost_are_made_once(way, name):
    trained = [arena.fighter(), arena.fighter()]
    way.loses = True
    for run in trained:
        assert promote(run, name, judge=arena.accept).move
    rollback(name)
    moves = Registry(name).moves()
    first, second = [move.after for move in moves[:2]]
    ends = [(move.number, move.before, move.after) for move in moves]
    assert ends == [(1, None, first), (2, first, second), (3, second, first)]
    # the first registration, whose answer was lost, is now the last that was written to
    MlflowClient().update_model_version(name, "1", "of no use")
    assert promote(trained[0], name, judge=arena.accept).decision is None


def test_half_a_file_is_no_lost_file(way, name):
    rows = rows_of_split(WORKSPACE)
    promote(arena.fighter(), name, judge=arena.accept, rows=rows)
    origin = find_origin(f"models:/{name}@champion")
    assert read_rows(origin) is not None
    way.cuts = True
    for work in (origin.check_unchanged, partial(read_rows, origin)):
        with pytest.raises(MlflowException, match="IncompleteRead"):  # which becomes a line
            work()
