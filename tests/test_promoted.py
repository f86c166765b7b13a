"""From a promotion to a deployment: the receiver of the webhook, the workflow, an SBOM."""

import base64
import hmac
import json
import os
import re
import shlex
import subprocess
import sys
import time
from contextlib import ExitStack, contextmanager

import packaged
import pytest
import requests
from cryptography.fernet import Fernet
from forge import TOKEN, Message, github
from helpers import answers, free_port, mlflow_serves, until
from ruamel.yaml import YAML
from support import NAME, REPOSITORY, quoted

WORKFLOW = YAML(typ="safe").load(REPOSITORY / ".github/workflows/promoted.yaml")
JOBS = WORKFLOW["jobs"]
RECEIVER = [sys.executable, REPOSITORY / "deploy/promoted.py", NAME, "you/digits", "--port"]
SECRET = "s3cret-of-the-test"


@contextmanager
def receiver(github_address):
    """The address of the receiver, as its page starts it."""
    port = free_port()
    env = os.environ | {"MLFLOW_WEBHOOK_SECRET": SECRET, "GITHUB_TOKEN": TOKEN}
    env["GITHUB_API_URL"] = github_address
    process = subprocess.Popen([*RECEIVER, str(port)], env=env)
    try:
        assert until(lambda: answers(port), seconds=60)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait()


def event(**data):
    """What MLflow says of a new alias."""
    champion = {"name": NAME, "alias": "champion", "version": "3"} | data
    return {"entity": "model_version_alias", "action": "created", "data": champion}


def send(address, message, *, identity="1", age=0, **headers):
    """The status of a message that is signed as MLflow signs, unless `headers` say otherwise."""
    body = json.dumps(message).encode()
    sent = int(time.time()) - age
    digest = hmac.digest(SECRET.encode(), f"{identity}.{sent}.".encode() + body, "sha256")
    signed = {
        "X-MLflow-Delivery-Id": identity,
        "X-MLflow-Timestamp": f"{sent}",
        "X-MLflow-Signature": f"v1,{base64.b64encode(digest).decode()}",
    }
    return requests.post(address, data=body, headers=signed | headers, timeout=20).status_code


def test_receiver_passes_on_what_is_signed():
    with ExitStack() as stack:
        with github() as (address, messages):
            url = stack.enter_context(receiver(address))
            assert send(url, event()) == 204
            path = "/repos/you/digits/dispatches"
            body = {"event_type": "promoted", "client_payload": {"model": f"models:/{NAME}/3"}}
            assert messages == [Message(path, f"Bearer {TOKEN}", body)]
            assert send(url, event()) == 409  # replayed
            for forged in (
                {"age": 301},
                {"age": -301},
                {"X-MLflow-Signature": "v1,AAAA"},
                {"X-MLflow-Delivery-Id": "3"},
            ):
                assert send(url, event(), identity="2", **forged) == 401, forged
            assert requests.post(url, json=event(), timeout=20).status_code == 401  # missing
            assert requests.post(url, data=b" " * 100_001, timeout=20).status_code == 413
            assert send(url, event(alias="challenger"), identity="4") == 204
            assert send(url, event(name="shoes"), identity="5") == 204
            assert len(messages) == 1
        assert send(url, event(), identity="6") == 502  # GitHub is away
        assert send(url, event(), identity="6") == 502  # upon which MLflow sends it again


@pytest.mark.parametrize("variables", [{"MLFLOW_WEBHOOK_SECRET": "", "GITHUB_TOKEN": TOKEN}, {}])
def test_receiver_needs_its_variables(variables):
    env = os.environ | variables
    done = subprocess.run([*RECEIVER, "0"], env=env, capture_output=True, text=True, timeout=60)
    finding = "error: MLFLOW_WEBHOOK_SECRET and GITHUB_TOKEN are needed\n"
    assert (done.returncode, done.stderr) == (1, finding)


@pytest.mark.slow
def test_mlflow_and_the_receiver_agree(tracked):
    import mlflow

    block = quoted("promotion.md", r"```python\n(.*?)```")
    variables = quoted("promotion.md", r"```sh\n((?:export [A-Z_]+=\S+\n)+)mlflow server")
    lines = variables.replace("=KEY", f"={Fernet.generate_key().decode()}").splitlines()
    env = dict(line.removeprefix("export ").split("=", 1) for line in lines)
    with (
        github() as (address, messages),
        receiver(address) as url,
        mlflow_serves(tracked, env=env) as store,
    ):
        mlflow.set_tracking_uri(store)
        exec(block.replace("http://127.0.0.1:8090", url).replace('"SECRET"', f'"{SECRET}"'))
        client = mlflow.MlflowClient()
        [hook] = client.list_webhooks()
        assert client.test_webhook(hook.webhook_id).response_status == 204  # of another model
        client.create_registered_model(NAME)
        run = client.create_run("0")
        client.create_model_version(NAME, f"{run.info.artifact_uri}/model", run.info.run_id)
        client.set_registered_model_alias(NAME, "challenger", "1")
        client.set_registered_model_alias(NAME, "champion", "1")
        assert until(lambda: bool(messages), seconds=30)
    assert [message.body["client_payload"] for message in messages] == [
        {"model": f"models:/{NAME}/1"}
    ]


def test_each_job_has_the_rights_that_it_needs():
    assert WORKFLOW["permissions"] == {}
    assert {name: job["permissions"] for name, job in JOBS.items()} == {
        "image": {"contents": "read", "packages": "write", "id-token": "write"},
        "propose": {"contents": "write", "pull-requests": "write"},
    }
    steps = [step for job in JOBS.values() for step in job["steps"]]
    # what others name is a variable, never code
    assert "${{" not in "".join(step.get("run", "") for step in steps)
    names = [step.get("uses", "").partition("@")[0] for step in steps]
    assert names.index("anchore/scan-action") < names.index("sigstore/cosign-installer")


def test_workflow_takes_names_of_versions_only():
    [package] = [step for step in JOBS["image"]["steps"] if step.get("name") == "Package"]
    check = package["run"].partition("\n")[0]
    names = "models:/digits@champion", "models:/digits/12"
    for model in (*names, "models:/digits/1; id", "--out=/tmp", "models:/../1"):
        status = subprocess.call(["bash", "-ec", check], env={"MODEL": model})
        assert (status == 0) == (model in names), model


@pytest.mark.slow
def test_sbom_names_all_that_answers(images_8x8, tmp_path):
    package = packaged.write(tmp_path / "champion", images_8x8)
    arguments = quoted("promotion.md", r"^uvx ([^\n]*cyclonedx-py [^\n]*)$")
    command = [sys.executable, "-m", "uv", "tool", "run", *shlex.split(arguments)]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    if "Failed to fetch" in done.stderr:
        pytest.skip(f"PyPI cannot be reached: {done.stderr[-200:]}")
    assert done.returncode == 0, done.stderr
    sbom = json.loads((tmp_path / "sbom.json").read_text("utf-8"))
    requirements = (package.folder / "requirements.txt").read_text("utf-8")
    components = {(part["name"], part.get("version")): part for part in sbom["components"]}
    pinned = re.findall(r"^([\w.-]+)==([^\s;\\]+)", requirements, re.M)
    assert components.keys() >= {*pinned}
    [runtime] = [part for (name, _), part in components.items() if name == "onnxruntime"]
    assert re.search("sha-?256", json.dumps(runtime), re.I)
