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

VALIDATE = """
import json, sys
import kubernetes_validate as checking
for manifest in json.load(sys.stdin):
    checking.validate(manifest, checking.latest_version(), strict=True)
"""


@pytest.fixture(scope="module")
def python(tmp_path_factory):
    """A Python that has these tools."""
    packages = ("tritonclient[http]", "openapi-spec-validator", "kubernetes-validate")
    return foreign.environment(tmp_path_factory.mktemp("foreign") / "environment", *packages)


def test_tritonclient(python, server, package, tmp_path):
    np.save(tmp_path / "images.npy", package.images)
    script = Path(__file__).with_name("triton.py")
    command = [python, script, str(server.port), tmp_path / "images.npy", ",".join(package.names)]
    answers = json.dumps(server.predict(package.images))
    subprocess.run(command, input=answers, text=True, check=True, timeout=120)


def test_openapi_validator(python, server, tmp_path):
    document = tmp_path / "openapi.json"
    document.write_bytes(server.get("/openapi.json").content)
    subprocess.run([python, "-m", "openapi_spec_validator", document], check=True, timeout=120)


def test_core_kinds_fit_the_schemas_of_kubernetes(python, tmp_path):
    write_manifests(tmp_path / "manifests", "7")
    paths = (tmp_path / "manifests/base").glob("*.yaml")
    contents = [yaml.safe_load(path.read_text("utf-8")) for path in paths]
    core = [content for content in contents if content["kind"] != "Kustomization"]
    assert len(core) == 4
    command = [python, "-c", VALIDATE]
    subprocess.run(command, input=json.dumps(core), text=True, check=True, timeout=120)
