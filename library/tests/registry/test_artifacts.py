"""The files of a version: they answer, and hostile ones are a line."""

from pathlib import Path

import numpy as np
import onnx
import pytest
from arena import accept, fighter, files_of, sign
from example import NAME
from helpers import finding
from mlflow import MlflowClient
from onnx.external_data_helper import set_external_data
from ruamel.yaml import YAML

from imageproof.answer.serve import mlflow_app
from imageproof.artifacts import WORKSPACE
from imageproof.base import inference
from imageproof.base.errors import IntegrityError
from imageproof.mlflow.logged_model import MODEL_SHA256
from imageproof.mlflow.runs import tag
from imageproof.registry import promotion
from imageproof.registry.version import find_origin, load_version

URI = f"models:/{NAME}/1"
DAMAGED = f"{URI}: model.onnx: cannot be read as"
UNDESCRIBED = f"{URI}: MLmodel does not describe it ("
TENSOR = '[{{"type": "tensor", "tensor-spec": {{"dtype": "{}", "shape": {}}}}}]'


class Version:
    """Version 1, whose files are changed and then recorded as they are."""

    def __init__(self, **fields):
        self.run = fighter(**fields)
        promotion.promote(self.run, NAME, judge=accept)
        self.folder = files_of(self.run)

    def answers(self):
        with load_version(URI, threads=2) as model:
            model.predict(WORKSPACE.read_split("holdout").data.images)
            return model.files.calibration

    def refused(self):
        """The line with which it gives no answer."""
        sign(self.run, "1")
        return finding(IntegrityError, self.answers)


@pytest.fixture
def version(ring):
    return Version()


def test_version_without_hash_is_refused(version):
    client, key = MlflowClient(), tag(MODEL_SHA256)
    client.delete_model_version_tag(NAME, "1", key)
    client.delete_tag(version.run.run_id, key)
    line = finding(IntegrityError, version.answers)
    assert line.startswith(f"{URI}: its files are not those that were logged")
    assert line.endswith(", recorded none); put those back, or delete the version")


def test_lost_record_of_the_gate_is_a_line(version):
    MlflowClient().delete_model_version_tag(NAME, "1", tag("gate_record"))
    assert "gone" in finding(IntegrityError, find_origin(URI).check_unchanged)


def test_calibration_is_that_of_the_training(version):
    calibration = version.answers()
    assert calibration.temperature == 1
    assert calibration.truth_probabilities.tolist() == np.linspace(0.5, 1, 100, dtype="f").tolist()
    for damaged in (b"x", b"\x93NUMPY\x07\0" + bytes(100)):
        (version.folder / "extra_files/calibration.npz").write_bytes(damaged)
        line = version.refused()
        assert line.startswith(f"{URI}: extra_files/calibration.npz: ")
        assert line.endswith("; delete the version, or put its artifacts back")


def test_weights_that_lie_in_other_files_are_not_read(version):
    network = onnx.load(version.folder / "model.onnx")
    (version.folder / "params.yaml").write_bytes(bytes(10_000))
    for place in ("/etc/passwd", "params.yaml"):
        for weights in network.graph.initializer:
            weights.raw_data = b""
            set_external_data(weights, place, length=4 * int(np.prod(weights.dims)))
            weights.data_location = onnx.TensorProto.EXTERNAL
        (version.folder / "model.onnx").write_bytes(network.SerializeToString())
        assert version.refused().startswith(f"{DAMAGED} ONNX model: ")
    (version.folder / "params.yaml").unlink()
    sign(version.run, "1")
    assert finding(IntegrityError, lambda: mlflow_app(URI)).startswith(f"{DAMAGED} MLflow model: ")


def test_what_is_no_onnx_model_is_a_line(version, monkeypatch):
    (version.folder / "model.onnx").write_bytes(b"\x0a\xff\xff\xff\xff\x0f")
    assert version.refused().startswith(f"{DAMAGED} ONNX model: ")
    monkeypatch.setattr(inference, "MAX_BYTES", 5)
    assert "at most 5 are allowed" in version.refused()


def test_mlmodel_that_names_code_is_refused_before_it_runs(version):
    (version.folder / "code").mkdir()
    (version.folder / "code/evil.py").write_text("raise SystemExit('hacked')", "utf-8")
    text = (version.folder / "MLmodel").read_text("utf-8")
    for changes in ({"loader_module": "evil"}, {"code": "code"}, {"data": "../model.onnx"}):
        described = YAML(typ="safe").load(text)
        described["flavors"]["python_function"] |= changes
        YAML().dump(described, version.folder / "MLmodel")
        assert version.refused().startswith(f"{UNDESCRIBED}loaded by ")


def test_mlmodel_of_no_model_is_a_line(version):
    code = "flavors: !!python/object/apply:os.system [touch hacked]\n"
    for text in ("", code, "- x\n", f"x: {'y' * 10**6}"):
        (version.folder / "MLmodel").write_text(text, encoding="utf-8")
        assert version.refused().startswith(UNDESCRIBED)
    assert not Path("hacked").exists()


def test_a_model_that_takes_no_images_is_named(version):
    described = version.folder / "MLmodel"
    content = YAML(typ="safe").load(described)
    answers, sizes = TENSOR.format("float32", "[-1, 10]"), ("[-1, 99999, 99999]", "[-1, -8, -8]")
    for signature in (
        None,
        {"inputs": '[{"type": "double", "name": "ink", "required": true}]'},
        {"inputs": TENSOR.format("uint8", "[-1, 64]"), "outputs": TENSOR.format("int64", "[]")},
        *({"inputs": TENSOR.format("uint8", size), "outputs": answers} for size in sizes),
    ):
        YAML().dump({**content, "signature": signature}, described)
        assert version.refused().startswith(UNDESCRIBED)


def test_answers_that_are_no_probabilities_are_named(ring):
    start = f"{URI}: 1797 of 1797 answers are no probabilities ("
    assert Version(last="Identity").refused().startswith(start)
