"""The files by which a cluster runs a package, and the queries on its metrics."""

import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import foreign
import pytest
import requests
import yaml
from example import context
from helpers import finding
from packaged import Package, running

from imageproof.base.errors import UsageError
from imageproof.cli import answers as cli
from imageproof.serve.app import LINGER_S
from imageproof.serve.manifests import NO_DIGEST, manifests_of, write_manifests
from imageproof.serve.protocol import DRAIN_S

KINDS = {
    "base": ["Deployment", "HorizontalPodAutoscaler", "PodDisruptionBudget", "Service"],
    "kserve": ["InferenceService"],
    "monitoring": ["PrometheusRule", "ServiceMonitor"],
}
CORE = ("apps/v1", "autoscaling/v2", "policy/v1", "v1")
# of Prometheus, which adds them to each target
TARGET = {"instance", "job", "namespace", "pod"}
WORDS = {"absent", "and", "by", "count", "histogram_quantile", "max", "on", "rate", "sum"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = manifests_of(tmp_path_factory.mktemp("manifests") / "package")
    write_manifests(path, "7")
    return path


def objects(folder: Path) -> Iterator[dict[str, Any]]:
    """What kustomize reads, without its own files."""
    for path in sorted(folder.rglob("*.yaml")):
        value = yaml.safe_load(path.read_text("utf-8"))
        if value.get("kind", "Kustomization") != "Kustomization":
            yield value


def test_folder_has_each_kind_and_each_named_file(folder: Path) -> None:
    for name, kinds in KINDS.items():
        assert sorted(value["kind"] for value in objects(folder / name)) == kinds
    for path in folder.rglob("kustomization.yaml"):
        value = yaml.safe_load(path.read_text("utf-8"))
        generated = [file for part in value.get("configMapGenerator", []) for file in part["files"]]
        for name in [*value["resources"], *value.get("configurations", []), *generated]:
            assert (path.parent / name).exists(), f"{path}: {name}"
    for path in filter(Path.is_file, folder.rglob("*")):
        assert "<<" not in path.read_text("utf-8")


def pods(folder: Path) -> list[dict[str, Any]]:
    by_kind = {value["kind"]: value["spec"] for value in objects(folder)}
    return [by_kind["Deployment"]["template"]["spec"], by_kind["InferenceService"]["predictor"]]


def test_pods_are_confined(folder: Path) -> None:
    for pod in pods(folder):
        assert pod["automountServiceAccountToken"] is False
        assert pod["securityContext"]["runAsNonRoot"] is True
        assert pod["securityContext"]["runAsUser"] == 65534  # as in the Dockerfile
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        assert pod["terminationGracePeriodSeconds"] > LINGER_S + DRAIN_S
        [container] = pod["containers"]
        context = container["securityContext"]
        assert context["allowPrivilegeEscalation"] is context["privileged"] is False
        assert context["readOnlyRootFilesystem"] is True
        assert context["capabilities"] == {"drop": ["ALL"]}
        assert container["resources"].keys() == {"requests", "limits"}
        for amounts in container["resources"].values():
            assert amounts.keys() == {"cpu", "memory"}
        assert [mount["mountPath"] for mount in container["volumeMounts"]] == ["/tmp"]
        assert "emptyDir" in pod["volumes"][0]


def test_images_are_named_by_digest(folder: Path) -> None:
    for pod in pods(folder):
        assert pod["containers"][0]["image"] == f"imageproof@{NO_DIGEST}"
    for name in ("overlays/dev", "overlays/prod", "kserve"):
        text = (folder / name / "kustomization.yaml").read_text("utf-8")
        [image] = yaml.safe_load(text)["images"]
        assert image.keys() == {"name", "newName", "digest"}
        assert re.fullmatch("sha256:[0-9a-f]{64}", image["digest"])


def test_probes_and_names_answer(folder: Path, package: Package) -> None:
    names = set()
    paths = set()
    for pod in pods(folder):
        [container] = pod["containers"]
        variables = {variable["name"]: variable.get("value") for variable in container["env"]}
        names |= {*variables["IMAGEPROOF_ALLOWED_HOSTS"].split(",")}
        for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
            paths.add(container[probe]["httpGet"]["path"])
    with running(package.folder, IMAGEPROOF_ALLOWED_HOSTS=",".join(names)) as server:
        for path in paths:  # kubelet asks by the pod's address
            headers = {"Host": "10.1.2.3:8000"}
            response = requests.get(f"{server.address}{path}", headers=headers, timeout=20)
            assert response.status_code == 200
        for name in names:
            headers = {"Host": name}
            response = requests.get(f"{server.address}/model", headers=headers, timeout=20)
            assert response.status_code == 200


def queries(folder: Path) -> list[str]:
    rules = yaml.safe_load((folder / "monitoring/prometheusrule.yaml").read_text("utf-8"))
    dashboard = json.loads((folder / "monitoring/dashboard.json").read_text("utf-8"))
    targets = [target["expr"] for panel in dashboard["panels"] for target in panel["targets"]]
    return targets + [rule["expr"] for group in rules["spec"]["groups"] for rule in group["rules"]]


def test_queries_name_what_the_service_counts(folder: Path, package: Package) -> None:
    labels: dict[str, set[str]] = {}
    with running(package.folder) as server:
        body = {"inputs": package.images[:3].tolist()}
        assert requests.post(f"{server.address}/predict", json=body, timeout=20).status_code == 200
        text = requests.get(f"{server.address}/metrics", timeout=20).text
    for line in text.splitlines():
        if match := re.match(r"(\w+)(?:\{(.*)\})? ", line):
            names = re.findall(r'(\w+)="', match[2] or "")
            labels.setdefault(match[1], set()).update(names)
    assert len(queries(folder)) > 12
    for query in queries(folder):
        grouped = re.findall(r"(?:by|on) \(([\w, ]+)\)", query)
        metrics = re.findall(
            r"[a-z]\w+", re.sub(r'"[^"]*"|\{.*?\}|\[\w+\]|(by|on) \(.*?\)', "", query)
        )
        metrics = [name for name in metrics if name not in WORDS]
        assert metrics, query
        assert {*metrics} <= labels.keys(), query
        allowed = set.union(TARGET, *(labels[name] for name in metrics))
        matched = re.findall(r"(\w+)(?:=~|!~|!=|=)", query)
        assert {*matched, *(name for part in grouped for name in part.split(", "))} <= allowed, (
            query
        )


def test_own_file_comes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    own = Path("templates/kubernetes/base/service.yaml")
    own.parent.mkdir(parents=True)
    own.write_text("kind: Service # of <<name>> <<version>>\n", "utf-8")
    write_manifests(Path("out"), "7")
    text = Path("out/base/service.yaml").read_text("utf-8")
    assert re.fullmatch(r"kind: Service # of \w+ 7\n", text)


def test_folder_that_exists_is_refused(tmp_path: Path) -> None:
    out = tmp_path / "package"
    manifests_of(out).mkdir()
    line = finding(UsageError, lambda: cli.package(context(), out=out, kubernetes=True))
    assert line == f"--kubernetes {out}-kubernetes: exists; delete it, or choose another name"


@pytest.mark.slow
def test_core_kinds_fit_the_schemas_of_kubernetes(folder: Path, tmp_path: Path) -> None:
    python = foreign.environment(tmp_path / "environment", "kubernetes-validate")
    script = "import json, kubernetes_validate as k, sys\nfor o in json.load(sys.stdin):"
    script += " k.validate(o, k.latest_version(), strict=True)"
    core = [value for value in objects(folder) if value["apiVersion"] in CORE]
    assert len(core) == 4
    command = [python, "-c", script]
    subprocess.run(command, input=json.dumps(core), text=True, check=True, timeout=120)
