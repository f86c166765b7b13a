"""The files of a version: of both kinds they answer, and hostile ones are a line."""

import json
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import numpy as np
import onnx
import pytest
from arena import EVEN, NAME, accept, fighter, forget_hash, old_fighter
from mlflow.exceptions import MlflowException
from onnx.external_data_helper import set_external_data
from ruamel.yaml import YAML
from support import DAMAGED_ARRAYS, changed, finding

from digits import params as parameters
from digits.core.artifacts import read_split
from digits.core.errors import IntegrityError
from digits.registry import promotion
from digits.registry.artifacts import fetched
from digits.registry.evidence import judge_by_holdout
from digits.registry.served import served
from digits.tracking import store
from digits.training import inference

FIRST, SECOND = f"models:/{NAME}/1", f"models:/{NAME}/2"
# how fast this machine is now decides nothing here
PARAMS = parameters.check(changed({"promote.max_latency_ms": None}))
by_the_gate = partial(judge_by_holdout, params=PARAMS)


def promote(run, *, judge=accept):
    return promotion.promote(run, NAME, judge=judge)


def answers(uri):
    with served(uri, threads=2) as model:
        return model.predict(read_split("holdout").data.images)


def calibration(uri):
    with served(uri, threads=2) as model:
        return model.files.calibration


@pytest.fixture
def folder(ring):
    """The files of version 1, whose hash nobody recorded: what is changed there is loaded."""
    run = fighter()
    promote(run)
    forget_hash(run, "1")
    return Path("mlartifacts", "models", run.model_id, "artifacts")


def test_a_version_knows_what_the_validation_rows_say_of_its_confidence(ring):
    promote(fighter())
    found = calibration(FIRST)
    assert found.temperature == 1
    assert found.truth_probabilities.tolist() == np.linspace(0.5, 1, 100, dtype="f").tolist()


@pytest.mark.usefixtures("tensorflow")
class TestAVersionOfBeforeOnnx:
    def test_answers_as_it_did_and_has_no_calibration(self, ring):
        for run in (old_fighter(EVEN), fighter(EVEN)):
            promote(run)
        np.testing.assert_allclose(answers(FIRST), answers(SECOND), atol=1e-6)
        assert calibration(FIRST) is None

    def test_is_compared_with_what_challenges_it(self, ring):
        promote(old_fighter())
        assert "paired_test" in promote(fighter(EVEN), judge=by_the_gate).decision.failed
        assert promote(fighter(), judge=by_the_gate).moved

    def test_is_judged_as_others_are(self, ring):
        timed = parameters.check(changed({"promote.max_latency_ms": 10_000}))
        outcome = promote(old_fighter(), judge=partial(judge_by_holdout, params=timed))
        assert outcome.moved
        assert outcome.decision.figures["latency_1_p95_ms"] > 0

    def test_that_is_damaged_is_a_line(self, ring):
        run = old_fighter()
        promote(run)
        forget_hash(run, "1")
        Path("mlartifacts", "models", run.model_id, "artifacts/data/model.keras").write_bytes(b"x")
        line = finding(IntegrityError, lambda: answers(FIRST))
        assert line.startswith(f"{FIRST}: data/model.keras: no Keras model (")


@pytest.mark.parametrize("where", ["/etc/passwd", "../../../../../../etc/passwd", "params.yaml"])
def test_weights_that_lie_in_other_files_are_not_read(folder, where):
    network = onnx.load(folder / "model.onnx")
    for weights in network.graph.initializer:
        content = onnx.numpy_helper.to_array(weights)
        weights.raw_data = b""
        set_external_data(weights, where, length=content.nbytes)
        weights.data_location = onnx.TensorProto.EXTERNAL
    (folder / "model.onnx").write_bytes(network.SerializeToString())
    (folder / "params.yaml").write_bytes(bytes(10_000))
    line = finding(IntegrityError, lambda: answers(FIRST))
    assert line.startswith(f"{FIRST}: model.onnx: no ONNX model (")


def test_a_network_that_contradicts_its_signature_is_a_line(folder):
    other = Path("mlartifacts", "models", fighter(shape=(4, 5)).model_id, "artifacts/model.onnx")
    (folder / "model.onnx").write_bytes(other.read_bytes())
    assert finding(IntegrityError, lambda: answers(FIRST)) == (
        f"{FIRST}: its network takes images (4, 5) and gives 10 classes, "
        "its signature says uint8 (-1, 8, 8) → float32 (-1, 10)"
    )


@pytest.mark.parametrize("content", [b"", b"x" * 1000, b"\x0a\xff\xff\xff\xff\x0f"])
def test_what_is_no_onnx_model_is_a_line(folder, content):
    (folder / "model.onnx").write_bytes(content)
    line = finding(IntegrityError, lambda: answers(FIRST))
    assert line.startswith(f"{FIRST}: model.onnx: no ONNX model (")


def test_a_file_too_large_for_a_model_is_not_parsed(folder, monkeypatch):
    monkeypatch.setattr(inference, "MAX_BYTES", 1000)
    line = finding(IntegrityError, lambda: answers(FIRST))
    assert line.startswith(f"{FIRST}: model.onnx: ")
    assert "at most 1,000 are allowed" in line


@pytest.mark.parametrize("content", [b"x", *DAMAGED_ARRAYS.values()])
def test_a_damaged_calibration_is_a_line(folder, content):
    (folder / "extra_files/calibration.npz").write_bytes(content)
    line = finding(IntegrityError, lambda: calibration(FIRST))
    assert line.startswith(f"{FIRST}: extra_files/calibration.npz: cannot be read as calibration")
    assert line.endswith("); delete the version, or put its artifacts back")


@pytest.mark.parametrize(
    "changes",
    [
        {"loader_module": "evil"},
        {"loader_module": "mlflow.sklearn"},
        {"code": "code"},
        {"data": "../model.onnx"},
    ],
)
def test_an_mlmodel_that_names_code_of_its_own_is_refused_before_it_runs(folder, changes):
    (folder / "code").mkdir()
    (folder / "code/evil.py").write_text("raise SystemExit('hacked')", "utf-8")
    described = YAML(typ="safe").load(folder / "MLmodel")
    described["flavors"]["python_function"] |= changes
    YAML().dump(described, folder / "MLmodel")

    def serve():
        with fetched(FIRST, "") as files:
            files.load_as_served(threads=1)

    line = finding(IntegrityError, serve)
    assert line.startswith(f"{FIRST}: MLmodel does not describe it (loaded by ")


@pytest.mark.parametrize(("status", "error"), [(502, MlflowException), (404, IntegrityError)])
def test_only_what_a_server_says_is_missing_is_gone(monkeypatch, status, error):
    class Answer(BaseHTTPRequestHandler):
        def do_GET(self):
            is_list = "artifacts?" in self.path
            listed = {"files": [{"path": "a", "is_dir": False}, {"path": "b", "is_dir": False}]}
            self.send_response(200 if is_list else status)
            self.end_headers()
            self.wfile.write(json.dumps(listed).encode() if is_list else b"")

        def log_message(self, *_):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Answer) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        address = f"http://127.0.0.1:{server.server_port}"
        monkeypatch.setenv("MLFLOW_TRACKING_URI", address)
        monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
        model = f"{address}/api/2.0/mlflow-artifacts/artifacts/x"
        try:
            with pytest.raises(error) as caught, fetched(model, ""):
                pass
        finally:
            server.shutdown()
            thread.join()
    assert store.is_away(caught.value) == (status == 502)
    assert "#" not in str(caught.value)  # MLflow lists the files under headings
