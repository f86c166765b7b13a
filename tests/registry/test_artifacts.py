"""The files of a version: they answer, and hostile ones are a line."""

from pathlib import Path

import numpy as np
import onnx
import pytest
from arena import NAME, accept, fighter, files_of, sign
from onnx.external_data_helper import set_external_data
from ruamel.yaml import YAML
from support import DAMAGED_ARRAYS, finding

from digits.artifacts import read_split
from digits.toolkit import inference
from digits.toolkit.errors import IntegrityError
from digits.toolkit.registry import promotion
from digits.toolkit.registry.served import served

URI = f"models:/{NAME}/1"


class Version:
    """Version 1, whose files are changed and then recorded as they are."""

    def __init__(self):
        self.run = fighter()
        promotion.promote(self.run, NAME, judge=accept)
        self.folder = files_of(self.run)

    def answers(self):
        sign(self.run, "1")
        with served(URI, threads=2) as model:
            return model.predict(read_split("holdout").data.images)

    def calibration(self):
        sign(self.run, "1")
        with served(URI, threads=2) as model:
            return model.files.calibration


@pytest.fixture
def version(ring):
    return Version()


def test_calibration_is_that_of_the_training(version):
    found = version.calibration()
    assert found.temperature == 1
    assert found.truth_probabilities.tolist() == np.linspace(0.5, 1, 100, dtype="f").tolist()


@pytest.mark.parametrize("where", ["/etc/passwd", "params.yaml"])
def test_weights_that_lie_in_other_files_are_not_read(version, where):
    network = onnx.load(version.folder / "model.onnx")
    for weights in network.graph.initializer:
        content = onnx.numpy_helper.to_array(weights)
        weights.raw_data = b""
        set_external_data(weights, where, length=content.nbytes)
        weights.data_location = onnx.TensorProto.EXTERNAL
    (version.folder / "model.onnx").write_bytes(network.SerializeToString())
    (version.folder / "params.yaml").write_bytes(bytes(10_000))
    line = finding(IntegrityError, version.answers)
    assert line.startswith(f"{URI}: model.onnx: cannot be read as ONNX model: ")


def test_what_is_no_onnx_model_is_a_line(version):
    (version.folder / "model.onnx").write_bytes(b"\x0a\xff\xff\xff\xff\x0f")
    line = finding(IntegrityError, version.answers)
    assert line.startswith(f"{URI}: model.onnx: cannot be read as ONNX model: ")


def test_a_file_too_large_for_a_model_is_not_parsed(version, monkeypatch):
    monkeypatch.setattr(inference, "MAX_BYTES", 1000)
    line = finding(IntegrityError, version.answers)
    assert line.startswith(f"{URI}: model.onnx: ")
    assert "at most 1,000 are allowed" in line


@pytest.mark.parametrize("content", [b"x", *list(DAMAGED_ARRAYS.values())[:1]])
def test_a_damaged_calibration_is_a_line(version, content):
    (version.folder / "extra_files/calibration.npz").write_bytes(content)
    line = finding(IntegrityError, version.calibration)
    assert line.startswith(f"{URI}: extra_files/calibration.npz: ")
    assert line.endswith("; delete the version, or put its artifacts back")


@pytest.mark.parametrize(
    "changes",
    [{"loader_module": "evil"}, {"code": "code"}, {"data": "../model.onnx"}],
)
def test_an_mlmodel_that_names_code_of_its_own_is_refused_before_it_runs(version, changes):
    (version.folder / "code").mkdir()
    (version.folder / "code/evil.py").write_text("raise SystemExit('hacked')", "utf-8")
    described = YAML(typ="safe").load(version.folder / "MLmodel")
    described["flavors"]["python_function"] |= changes
    YAML().dump(described, version.folder / "MLmodel")

    line = finding(IntegrityError, version.answers)
    assert line.startswith(f"{URI}: MLmodel does not describe it (loaded by ")


@pytest.mark.parametrize(
    "text",
    ["", "flavors: !!python/object/apply:os.system [touch hacked]\n", "- x\n"],
    ids=["empty", "code", "list"],
)
def test_mlmodel_of_no_model_is_a_line(version, text):
    (version.folder / "MLmodel").write_text(text, encoding="utf-8")
    line = finding(IntegrityError, version.answers)
    assert line.startswith(f"{URI}: MLmodel does not describe it (")
    assert not Path("hacked").exists()
