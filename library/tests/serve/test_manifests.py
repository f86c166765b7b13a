"""The files by which a cluster runs a package, and Prometheus reads its metrics."""

import json
import re
import shutil
import subprocess
from contextlib import suppress
from io import BytesIO
from pathlib import Path

import pytest
import requests
import yaml
from helpers import free_port, until
from packaged import within
from PIL import Image

from imageproof.serve._app import LINGER_S, Service
from imageproof.serve._manifests import NO_DIGEST, write_manifests
from imageproof.serve._model import load
from imageproof.serve._protocol import DRAIN_S


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("manifests") / "package-kubernetes"
    write_manifests(path, "7")
    return path


def read(path):
    return yaml.safe_load(path.read_bytes())


@pytest.fixture(params=["base/deployment.yaml", "kserve/inferenceservice.yaml"])
def pod(folder, request):
    spec = read(folder / request.param)["spec"]
    return spec["predictor"] if "predictor" in spec else spec["template"]["spec"]


def test_pod_is_confined(pod):
    assert pod["automountServiceAccountToken"] is False
    assert pod["terminationGracePeriodSeconds"] > LINGER_S + DRAIN_S
    assert pod["securityContext"] == {
        "runAsNonRoot": True,
        "runAsUser": 65534,  # as in the Dockerfile
        "runAsGroup": 65534,
        "seccompProfile": {"type": "RuntimeDefault"},
    }
    [container] = pod["containers"]
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "privileged": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    amounts = container["resources"]
    assert amounts["requests"].keys() == amounts["limits"].keys() == {"cpu", "memory"}
    assert [mount["mountPath"] for mount in container["volumeMounts"]] == ["/tmp"]
    assert "emptyDir" in pod["volumes"][0]


def test_probes_and_names_answer(pod, package, monkeypatch):
    [container] = pod["containers"]
    variables = {variable["name"]: variable.get("value") for variable in container["env"]}
    names = variables["IMAGEPROOF_ALLOWED_HOSTS"]
    monkeypatch.setenv("IMAGEPROOF_ALLOWED_HOSTS", names)
    with within(Service(load(package.folder)).app()) as client:
        for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
            path = container[probe]["httpGet"]["path"]
            # kubelet asks by the pod's address
            assert client.get(path, headers={"Host": "10.1.2.3:8000"}).status_code == 200
        for name in names.split(","):
            assert client.get("/model", headers={"Host": name}).status_code == 200


@pytest.mark.slow
def test_memory_of_pod_holds_largest_picture(folder, server):
    picture = BytesIO()
    Image.new("RGBA", (5000, 5000), (1, 2, 3, 4)).save(picture, "WEBP", lossless=True)
    assert server.post("/predict", picture.getvalue(), "image/webp").status_code == 200
    status = Path(f"/proc/{server.process.pid}/status").read_text()
    peak = int(re.search(r"VmHWM:\s+(\d+) kB", status)[1])
    [container] = read(folder / "base/deployment.yaml")["spec"]["template"]["spec"]["containers"]
    limit = re.fullmatch(r"(\d+)Gi", container["resources"]["limits"]["memory"])
    assert peak < 0.9 * int(limit[1]) * 1024**2


@pytest.mark.slow
def test_kustomize_makes_what_a_cluster_runs(folder):
    if not shutil.which("kustomize"):
        pytest.skip("no kustomize here: apt-get install kustomize")
    base = {"Deployment", "Service", "PodDisruptionBudget", "HorizontalPodAutoscaler"}
    kinds = {
        "overlays/dev": base,
        "overlays/prod": base | {"ConfigMap", "PrometheusRule", "ServiceMonitor"},
        "kserve": {"InferenceService"},
    }
    for name, expected in kinds.items():
        text = subprocess.check_output(["kustomize", "build", folder / name], text=True)
        assert {part["kind"] for part in yaml.safe_load_all(text)} == expected
        assert re.findall("image: (.+)", text) == [f"registry.example/imageproof@{NO_DIGEST}"]


@pytest.fixture
def ask(tmp_path, server, folder):
    """A function that asks an API of a Prometheus which reads the server's metrics each second."""
    if not shutil.which("prometheus"):
        pytest.skip("no Prometheus here: apt-get install prometheus")
    rules = read(folder / "monitoring/prometheusrule.yaml")["spec"]
    (tmp_path / "rules.yaml").write_text(yaml.safe_dump(rules))
    target = {"targets": [f"127.0.0.1:{server.port}"]}
    config = {
        "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
        "rule_files": ["rules.yaml"],
        "scrape_configs": [{"job_name": "model", "static_configs": [target]}],
    }
    (tmp_path / "prometheus.yml").write_text(yaml.safe_dump(config))
    address = f"http://127.0.0.1:{free_port()}"
    listen = f"--web.listen-address={address.removeprefix('http://')}"
    data = f"--storage.tsdb.path={tmp_path / 'data'}"
    command = ["prometheus", "--config.file=prometheus.yml", listen, data]
    process = subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.DEVNULL)

    def is_ready():
        with suppress(requests.ConnectionError):
            return requests.get(f"{address}/-/ready", timeout=20).ok

    def answer(path, **params):
        content = requests.get(f"{address}/api/v1/{path}", params, timeout=20).json()
        assert content["status"] == "success", content
        return content["data"]

    try:
        assert until(is_ready, seconds=60)
        yield answer
    finally:
        process.terminate()
        process.wait(60)


@pytest.mark.slow
def test_queries_of_dashboard_and_alerts_have_results(ask, server, package, folder):
    dashboard = json.loads((folder / "monitoring/dashboard.json").read_bytes())
    queries = [target["expr"] for panel in dashboard["panels"] for target in panel["targets"]]

    def send():
        server.predict(package.images[:20])
        server.post("/predict", b"{}")  # half of all requests for answers are refused
        for _ in range(20):
            server.get("/health")

    def empty_queries():
        send()
        return [query for query in queries if not ask("query", query=query)["result"]]

    def states():
        send()
        rules = [rule for group in ask("rules")["groups"] for rule in group["rules"]]
        return {rule["name"]: (rule["health"], rule["state"]) for rule in rules}

    assert until(lambda: not empty_queries(), seconds=60), empty_queries()
    assert until(lambda: states()["ModelRefuses"] == ("ok", "pending"), seconds=60), states()
    healthy = states()
    del healthy["ModelRefuses"]
    assert {*healthy.values()} == {("ok", "inactive")}, healthy
