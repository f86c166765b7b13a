"""Prometheus itself reads the metrics of a service, and runs the queries that a package brings."""

import json
import shutil
import subprocess
from contextlib import suppress

import pytest
import requests
import yaml
from helpers import free_port, until

from imageproof.serve._manifests import write_manifests


@pytest.fixture(scope="module")
def monitoring(tmp_path_factory):
    path = tmp_path_factory.mktemp("prometheus") / "package-kubernetes"
    write_manifests(path, "7")
    return path / "monitoring"


@pytest.fixture
def ask(tmp_path, server, monitoring):
    """A function that asks an API of a Prometheus which reads the server's metrics each second."""
    if not shutil.which("prometheus"):
        pytest.skip("no Prometheus here: apt-get install prometheus")
    rules = yaml.safe_load((monitoring / "prometheusrule.yaml").read_text("utf-8"))["spec"]
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
def test_queries_of_dashboard_and_alerts_have_results(ask, server, package, monitoring):
    dashboard = json.loads((monitoring / "dashboard.json").read_text("utf-8"))
    queries = [target["expr"] for panel in dashboard["panels"] for target in panel["targets"]]

    def send():
        server.predict(package.images[:20])
        server.post("/predict", b"{}")  # half of all requests are refused

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
