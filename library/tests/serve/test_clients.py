"""Tools of others, from PyPI, ask the service and check what is written for them."""

import json
import subprocess
from copy import deepcopy
from functools import reduce
from operator import getitem
from pathlib import Path

import foreign
import numpy as np
import pytest
import yaml

from imageproof.serve._manifests import write_manifests

pytestmark = pytest.mark.slow

# Of each kind, a mapping below `spec`.
PLACES = {
    "Deployment": ["template", "spec", "containers", 0, "securityContext"],
    "HorizontalPodAutoscaler": ["metrics", 0, "resource", "target"],
    "InferenceService": ["predictor"],
    "PodDisruptionBudget": ["selector"],
    "PrometheusRule": ["groups", 0, "rules", 0],
    "Service": ["ports", 0],
    "ServiceMonitor": ["endpoints", 0],
}


@pytest.fixture(scope="module")
def python(tmp_path_factory):
    """A Python that has these tools."""
    packages = ["tritonclient[http]", "openapi-spec-validator", "kubernetes-validate", "kserve"]
    packages.append("cloudcoil-models-prometheus-operator")
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


def altered(manifest):
    """The manifest with an unknown key."""
    fault = deepcopy(manifest)
    reduce(getitem, PLACES[manifest["kind"]], fault["spec"])["wrong"] = 1
    return fault


def test_manifests_fit_the_schemas_of_their_kinds(python, tmp_path):
    write_manifests(tmp_path / "manifests", "7")
    paths = (tmp_path / "manifests").glob("*/*.yaml")
    contents = [yaml.safe_load(path.read_text("utf-8")) for path in paths]
    manifests = [content for content in contents if "metadata" in content]  # not kustomize's own
    assert sorted(manifest["kind"] for manifest in manifests) == [*PLACES]
    command = [python, Path(__file__).with_name("kinds.py")]
    text = json.dumps([*manifests, *map(altered, manifests)])
    findings = json.loads(subprocess.check_output(command, input=text, text=True, timeout=120))
    assert [finding == "" for finding in findings] == [True] * 7 + [False] * 7
