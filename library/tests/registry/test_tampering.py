"""The files of a version: they answer; nothing loads changed or hostile ones, and all say so."""

import json
from pathlib import Path
from shutil import rmtree

import arena
import numpy as np
import onnx
import pytest
import requests
from arena import accept, fighter, files_of, sign
from example import NAME, context, load_project
from helpers import finding, served
from mlflow import MlflowClient
from onnx.external_data_helper import set_external_data
from PIL import Image
from ruamel.yaml import YAML

from imageproof.answer._demo import players
from imageproof.answer._serve import mlflow_app
from imageproof.artifacts import WORKSPACE
from imageproof.base import _inference
from imageproof.base.errors import IntegrityError
from imageproof.cli import _answers as cli
from imageproof.mlflow._logged_model import MODEL_SHA256
from imageproof.mlflow._runs import tag
from imageproof.registry import _promotion
from imageproof.registry._reproduce import reproduce_version
from imageproof.registry._version import find_origin, load_version
from imageproof.registry._versions import find, trained_run

CHAMPION = f"models:/{NAME}/3"
FORMER = f"models:/{NAME}/2"
URI = f"models:/{NAME}/1"
DAMAGED = f"{URI}: model.onnx: cannot be read as"
UNDESCRIBED = f"{URI}: MLmodel does not describe it ("
TENSOR = '[{{"type": "tensor", "tensor-spec": {{"dtype": "{}", "shape": {}}}}}]'
CHANGED = "its files are not those that were logged (SHA-256 of all "


def run_of(uri):
    return trained_run(find(uri).run_id)


def replace_model(run):
    (files_of(run) / "model.onnx").write_bytes(b"another")


def promote(model, *, dry_run=False):
    candidate = _promotion.Candidate(run_id=model.run_id)
    return _promotion.promote_training(candidate, project=load_project(), dry_run=dry_run)


READERS = {
    "promote": lambda: promote(run_of(CHAMPION)),
    "promote --dry-run": lambda: promote(run_of(CHAMPION), dry_run=True),
    "predict": lambda: cli.predict(context(), [Path("seven.png")]),
    "score": lambda: cli.score(context(), "new.npz", "scored.parquet"),
    "demo": lambda: players(NAME, threads=2),
    "trace": lambda: find_origin(CHAMPION).check_unchanged(),
    "reproduce": lambda: reproduce_version(CHAMPION, tolerance=0),
    "serve": lambda: cli.serve(context(), port=0),
    "package": lambda: cli.package(context(), out=Path("package")),
    "challenge": lambda: promote(fighter(), dry_run=True),
}


def test_replaced_model_is_refused_by_all_readers(chain):
    READERS["trace"]()
    new = fighter()
    replace_model(run_of(CHAMPION))
    Image.fromarray(np.zeros((8, 8), np.uint8)).save("seven.png")
    np.savez("new.npz", images=np.zeros((4, 8, 8), np.uint8))
    for reader, read in READERS.items():
        line = finding(IntegrityError, read)
        assert line.startswith("models:/"), reader
        assert CHANGED in line, reader
    for run in (run_of(FORMER), new):
        replace_model(run)
    line = finding(IntegrityError, _promotion.rollback, NAME)
    assert line.startswith(f"{FORMER}: {CHANGED}")
    assert CHANGED in finding(IntegrityError, promote, new)
    assert not MlflowClient().search_model_versions(f"run_id = '{new.run_id}'")
    assert chain.champion() == "3"


def test_champion_is_served_from_a_copy(chain):
    _, app = mlflow_app(CHAMPION)
    with served(app) as port:
        replace_model(run_of(CHAMPION))
        holdout = WORKSPACE.read_split("holdout").data
        body = {"instances": holdout.images[:5].tolist()}
        answer = requests.post(f"http://127.0.0.1:{port}/invocations", json=body, timeout=60)
    assert answer.json()["predictions"]["class"] == [*map(str, holdout.labels[:5])]


class Version:
    """A version, whose files are changed and then recorded as they are."""

    def __init__(self):
        self.run = run_of(URI)
        self.folder = files_of(self.run)

    def answers(self):
        with load_version(URI, threads=2) as model:
            model.predict(WORKSPACE.read_split("holdout").data.images)
            return model.files.calibration

    def refused(self, file="", content=b""):
        """The line with which it gives no answer, with this content of a file."""
        if file:
            (self.folder / file).write_bytes(content)
        sign(self.run, "1")
        return finding(IntegrityError, self.answers)


@pytest.fixture
def version(chain):
    return Version()


def test_lost_records_of_a_version_are_a_line(version):
    client = MlflowClient()
    key = tag(MODEL_SHA256)
    client.delete_model_version_tag(NAME, "1", tag("gate_record"))
    assert "gone" in finding(IntegrityError, find_origin(URI).check_unchanged)
    (version.folder / "added.txt").touch()
    assert CHANGED in finding(IntegrityError, version.answers)
    client.delete_model_version_tag(NAME, "1", key)
    client.delete_tag(version.run.run_id, key)
    assert finding(IntegrityError, version.answers).startswith(f"{URI}: lacks the tag {key} ")
    sign(version.run, "1")
    rmtree(version.folder)
    assert finding(IntegrityError, version.answers).startswith(f"{URI}: its artifacts are gone; ")


def test_damaged_calibration_is_a_line(version):
    calibration = version.answers()
    assert calibration.temperature == 1
    assert calibration.truth_probabilities.tolist() == np.linspace(0.5, 1, 100, dtype="f").tolist()
    line = version.refused("extra_files/calibration.npz", b"x")
    assert line.startswith(f"{URI}: extra_files/calibration.npz: ")
    assert line.endswith("; put its artifacts back, or delete the version and its run")


def test_what_is_no_sound_onnx_model_is_a_line(version, monkeypatch):
    network = onnx.load(version.folder / "model.onnx")
    (version.folder / "params.yaml").write_bytes(bytes(10_000))
    for place in ("/etc/passwd", "params.yaml"):  # weights that lie in other files are not read
        for weights in network.graph.initializer:
            weights.raw_data = b""
            set_external_data(weights, place, length=4 * int(np.prod(weights.dims)))
            weights.data_location = onnx.TensorProto.EXTERNAL
        line = version.refused("model.onnx", network.SerializeToString())
        assert line.startswith(f"{DAMAGED} ONNX model: ")
    (version.folder / "params.yaml").unlink()
    sign(version.run, "1")
    assert finding(IntegrityError, mlflow_app, URI).startswith(f"{DAMAGED} MLflow model: ")
    line = version.refused("model.onnx", b"\x0a\xff\xff\xff\xff\x0f")
    assert line.startswith(f"{DAMAGED} ONNX model: ")
    monkeypatch.setattr(_inference, "MAX_BYTES", 5)
    assert "at most 5 are allowed" in version.refused()


def test_mlmodel_that_describes_no_classifier_runs_nothing(version):
    described = YAML(typ="safe").load(version.folder / "MLmodel")
    (version.folder / "code").mkdir()
    (version.folder / "code/evil.py").write_text("raise SystemExit('hacked')", "utf-8")
    flavors = described["flavors"]
    answers = TENSOR.format("float32", "[-1, 10]")
    contents = [b"flavors: !!python/object/apply:os.system [touch hacked]\n"]
    changes = [
        {"flavors": flavors | {"python_function": flavors["python_function"] | change}}
        for change in ({"loader_module": "evil"}, {"code": "code"}, {"data": "../model.onnx"})
    ]
    negative = {"inputs": TENSOR.format("uint8", "[-1, -8, -8]"), "outputs": answers}
    changes += [{"signature": signature} for signature in (None, negative)]
    contents += [json.dumps(described | change, default=str).encode() for change in changes]
    lines = [version.refused("MLmodel", content) for content in contents]
    assert all(line.startswith(UNDESCRIBED) for line in lines)
    assert [line.startswith(f"{UNDESCRIBED}loaded by ") for line in lines].count(True) == 3
    assert not Path("hacked").exists()


def test_answers_that_are_no_probabilities_are_named(ring):
    arena.promote(fighter(last="Identity"), accept)
    assert Version().refused().startswith(f"{URI}: 1797 of 1797 answers are no probabilities (")
