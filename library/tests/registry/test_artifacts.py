"""The files of a version: they answer, and hostile ones are a line."""

import json
from pathlib import Path

import arena
import numpy as np
import onnx
import pytest
from arena import accept, fighter, files_of, sign
from example import NAME
from helpers import finding
from mlflow import MlflowClient
from onnx.external_data_helper import set_external_data
from ruamel.yaml import YAML

from imageproof.answer._serve import mlflow_app
from imageproof.artifacts import WORKSPACE
from imageproof.base import _inference
from imageproof.base.errors import IntegrityError
from imageproof.mlflow._logged_model import MODEL_SHA256
from imageproof.mlflow._runs import tag
from imageproof.registry._version import find_origin, load_version
from imageproof.registry._versions import find, trained_run

URI = f"models:/{NAME}/1"
DAMAGED = f"{URI}: model.onnx: cannot be read as"
UNDESCRIBED = f"{URI}: MLmodel does not describe it ("
TENSOR = '[{{"type": "tensor", "tensor-spec": {{"dtype": "{}", "shape": {}}}}}]'


class Version:
    """A version, whose files are changed and then recorded as they are."""

    def __init__(self):
        self.run = trained_run(find(URI).run_id)
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
    client, key = MlflowClient(), tag(MODEL_SHA256)
    client.delete_model_version_tag(NAME, "1", tag("gate_record"))
    assert "gone" in finding(IntegrityError, find_origin(URI).check_unchanged)
    client.delete_model_version_tag(NAME, "1", key)
    client.delete_tag(version.run.run_id, key)
    line = finding(IntegrityError, version.answers)
    assert line.startswith(f"{URI}: its files are not those that were logged")
    assert line.endswith(", recorded none); put those back, or delete the version")


def test_damaged_calibration_is_a_line(version):
    calibration = version.answers()
    assert calibration.temperature == 1
    assert calibration.truth_probabilities.tolist() == np.linspace(0.5, 1, 100, dtype="f").tolist()
    for damaged in (b"x", b"\x93NUMPY\x07\0" + bytes(100)):
        line = version.refused("extra_files/calibration.npz", damaged)
        assert line.startswith(f"{URI}: extra_files/calibration.npz: ")
        assert line.endswith("; delete the version, or put its artifacts back")


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
    assert finding(IntegrityError, lambda: mlflow_app(URI)).startswith(f"{DAMAGED} MLflow model: ")
    line = version.refused("model.onnx", b"\x0a\xff\xff\xff\xff\x0f")
    assert line.startswith(f"{DAMAGED} ONNX model: ")
    monkeypatch.setattr(_inference, "MAX_BYTES", 5)
    assert "at most 5 are allowed" in version.refused()


def test_mlmodel_that_describes_no_classifier_runs_nothing(version):
    described = YAML(typ="safe").load(version.folder / "MLmodel")
    (version.folder / "code").mkdir()
    (version.folder / "code/evil.py").write_text("raise SystemExit('hacked')", "utf-8")
    flavors, answers = described["flavors"], TENSOR.format("float32", "[-1, 10]")
    contents = [
        b"",
        b"flavors: !!python/object/apply:os.system [touch hacked]\n",
        b"- x\n",
        b"x: " + b"y" * 10**6,
    ]
    changes = [
        {"flavors": flavors | {"python_function": flavors["python_function"] | change}}
        for change in ({"loader_module": "evil"}, {"code": "code"}, {"data": "../model.onnx"})
    ]
    signatures = (
        None,
        {"inputs": '[{"type": "double", "name": "ink", "required": true}]'},
        {"inputs": TENSOR.format("uint8", "[-1, 64]"), "outputs": TENSOR.format("int64", "[]")},
        {"inputs": TENSOR.format("uint8", "[-1, 99999, 99999]"), "outputs": answers},
        {"inputs": TENSOR.format("uint8", "[-1, -8, -8]"), "outputs": answers},
    )
    changes += [{"signature": signature} for signature in signatures]
    contents += [json.dumps(described | change, default=str).encode() for change in changes]
    lines = [version.refused("MLmodel", content) for content in contents]
    assert all(line.startswith(UNDESCRIBED) for line in lines)
    assert [line.startswith(f"{UNDESCRIBED}loaded by ") for line in lines].count(True) == 3
    assert not Path("hacked").exists()


def test_answers_that_are_no_probabilities_are_named(ring):
    arena.promote(fighter(last="Identity"), accept)
    start = f"{URI}: 1797 of 1797 answers are no probabilities ("
    assert Version().refused().startswith(start)
