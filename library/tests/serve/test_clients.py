"""Tools of others, from PyPI, ask the service and check what is written for them."""

import json
import subprocess
from pathlib import Path

import foreign
import numpy as np
import pytest
import yaml

from imageproof.serve._manifests import write_manifests

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def python(tmp_path_factory):
    """A Python that has these tools."""
    packages = ["tritonclient[http]", "openapi-spec-validator", "kubernetes-validate", "kserve"]
    packages.append("cloudcoil-models-prometheus-operator")
    return foreign.environment(tmp_path_factory.mktemp("foreign") / "environment", *packages)


def test_tritonclient(python, server, package, tmp_path):
    np.save(tmp_path / "images.npy", package.images)
    script = Path(__file__).with_name("triton.py")
    command = [python, script, str(server.port), tmp_path / "images.npy"]
    expected = server.tensors(package.images)
    expected["probabilities"] = np.float32(expected["probabilities"]).tolist()
    tensors = json.loads(subprocess.check_output(command, timeout=120))
    assert tensors == [expected, expected]


def test_openapi_validator(python, server, tmp_path):
    document = tmp_path / "openapi.json"
    document.write_bytes(server.get("/openapi.json").content)
    subprocess.run([python, "-m", "openapi_spec_validator", document], check=True, timeout=120)


def test_manifests_fit_the_schemas_of_their_kinds(python, tmp_path):
    write_manifests(tmp_path / "manifests", "7")
    paths = (tmp_path / "manifests").glob("*/*.yaml")
    contents = [yaml.safe_load(path.read_bytes()) for path in paths]
    manifests = [content for content in contents if "metadata" in content]  # not kustomize's own
    wrong = [manifest | {"spec": manifest["spec"] | {"wrong": 1}} for manifest in manifests]
    command = [python, Path(__file__).with_name("kinds.py")]
    text = json.dumps([*manifests, *wrong])
    findings = json.loads(subprocess.check_output(command, input=text, text=True, timeout=120))
    assert [finding == "" for finding in findings] == [True] * 7 + [False] * 7
