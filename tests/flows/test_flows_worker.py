"""Deployments, and flow runs on a real worker: overridden, cancelled, killed, in a fresh clone."""

import re
import shutil
import sys
from contextlib import ExitStack, suppress

import pytest
import yaml
from deployed import (
    PREFECT,
    automation,
    completes,
    flow_runs,
    log_of,
    running_stages,
    state_of,
    submit,
)
from forge import TOKEN, Message
from helpers import has_ended, until
from prefect import Flow, pause_flow_run, tags
from prefect.client.orchestration import get_client
from prefect.events.schemas.automations import AutomationCore
from prefect.exceptions import FlowPauseTimeout
from prefect.states import Cancelling, Completed, Failed
from prefect.utilities.importtools import import_object
from services import running
from small_project import run
from support import REPOSITORY, quoted

from digits.project import load_project
from imageproof.base.files import read_yaml

DEPLOYMENTS = yaml.safe_load((REPOSITORY / "prefect.yaml").read_text("utf-8"))["deployments"]
LOST_RUN = REPOSITORY / "deploy/automations/lost-run.yaml"


def test_prefect_yaml_fits_flows(monkeypatch):
    monkeypatch.chdir(REPOSITORY)
    named = load_project()
    for each in DEPLOYMENTS:
        flow = import_object(each["entrypoint"])
        assert each["name"] in (named.part(flow.name), named.part("nightly"))
        assert each["tags"][:2] == [named.name, flow.name]
        assert {*each.get("parameters", {})} <= {*flow.parameters.properties}
    at_once = {each["name"]: each.get("concurrency_limit", {}).get("limit") for each in DEPLOYMENTS}
    without = {"digits-promote", "digits-score"}  # promote pauses: see prefect.yaml
    assert {name for name, limit in at_once.items() if not limit} == without
    ends, pauses = read_yaml(REPOSITORY / "deploy/notify.yaml")["trigger"]["triggers"]
    assert sorted(ends["match_related"]["prefect.resource.name"]) == sorted(at_once)
    for trigger in (pauses, read_yaml(LOST_RUN)["trigger"]):
        tag = trigger["match_related"]["prefect.resource.id"].removeprefix("prefect.tag.")
        assert all(tag in each["tags"] for each in DEPLOYMENTS)


@pytest.mark.slow
def test_experiments_run_at_once(deployed):
    files = deployed.files()
    mlp = "train.mlp.fit"
    changes = [{f"{mlp}.epochs": 2}, {f"{mlp}.epochs": 3}, {f"{mlp}.epoch": 1}]
    *runs, failed = [submit(overrides=overrides) for overrides in changes]
    assert all(map(completes, runs))
    assert deployed.files() == files
    assert len(deployed.dvc("exp", "list", "--name-only").split()) == 2
    ends = [words for words in deployed.log("end") if words[0] == "train-mlp"]
    assert {flow_run for *_, flow_run in ends} == set(map(str, runs))
    assert not completes(failed)
    assert until(lambda: "Finished in state Failed" in log_of(failed))
    assert f"params.yaml {mlp}.epoch: unknown key" in log_of(failed)
    assert "Traceback" not in log_of(failed)


@pytest.mark.slow
def test_rerun_after_kill(deployment, deployed):
    deployed.sleeps("prepare", 600)
    killed = submit(force=True)
    assert until(lambda: running_stages(deployed) != [], seconds=240)
    [flow] = [each for each in deployment[1].children() if not has_ended(each.pid)]
    flow.kill()
    assert until(lambda: state_of(killed).is_crashed(), seconds=180)
    assert until(lambda: running_stages(deployed) == [], seconds=180)
    deployed.works()
    assert completes(submit(force=True))
    assert deployed.dvc("status").strip() == "Data and pipelines are up to date."


@pytest.mark.slow
def test_deployment_runs_in_clones(project, deployed, prefect_server, tmp_path):
    entry = quoted("workers.md", r"```yaml\n(  - name: digits-gpu\n.*?)```")
    entry = entry.replace("https://git.example/you/digits.git", f"file://{tmp_path}/origin.git")
    entry = entry.replace("name: gpu", "name: digits")  # the pool of our worker
    deployments = (REPOSITORY / "prefect.yaml").read_text("utf-8")
    (project.root / "prefect.yaml").write_text(f"{deployments}\n{entry}", "utf-8")
    shutil.copytree(REPOSITORY / "flows", project.root / "flows")
    project.dvc("remote", "add", "-q", "--default", "shared", str(tmp_path / "remote"))
    project.dvc("push", "-q")
    project.git("add", ".")
    project.git("commit", "-qm", "a pool with clones")
    project.git("clone", "-q", "--bare", ".", str(tmp_path / "origin.git"))
    commit = project.git("rev-parse", "HEAD").strip()
    env = {"PREFECT_API_URL": prefect_server, "PREFECT_HOME": str(tmp_path / "prefect")}
    watch = "deployment run train/digits-gpu --watch --job-variable"
    for command in (
        ["deploy", "--name", "digits-gpu"],
        [*watch.split(), f'env={{"COMMIT": "{commit}"}}'],
    ):
        run(*PREFECT, *command, cwd=project.root, env=env)
    assert sorted(deployed.ran()) == ["compare", "prepare", "train-cnn", "train-mlp"]
    assert not (project.root / "artifacts").exists()
    project.dvc("repro", "-q", "--pull")
    assert deployed.ran()[4:] == ["compare"]  # its output is in git, not in the run cache
    assert (project.root / "artifacts/train-cnn.txt").exists()


@pytest.mark.slow
def test_cancelled_run_ends_its_stage(deployed):
    deployed.sleeps("prepare", 600)
    nightly = "train/digits-nightly"
    cancelled = submit(nightly, force=True, pull=False, push=False)
    assert until(lambda: deployed.ran()[-1:] == ["prepare"], seconds=240)
    second = submit(nightly)  # while the first runs
    assert until(lambda: state_of(second).name == "Cancelled", seconds=180)
    with get_client(sync_client=True) as client:  # as `prefect flow-run cancel` does
        client.set_flow_run_state(cancelled, Cancelling())
    assert until(lambda: running_stages(deployed) == [], seconds=180)
    assert until(lambda: state_of(cancelled).name == "Cancelled", seconds=180)


# A run of a flow `train` with the tags that the arguments name, as a worker starts it.
RUN = """
import sys, time
from prefect import flow, tags

@flow(name="train")
def train():
    time.sleep(600)

with tags(*sys.argv[1:]):
    train()
"""


@pytest.mark.slow
def test_run_of_a_lost_machine_has_crashed(tmp_path, prefect_server):
    lost = read_yaml(LOST_RUN)
    lost["trigger"]["within"] = 40
    shutil.copy(REPOSITORY / "prefect.toml", tmp_path)  # heartbeats are 30 s apart
    env = {"PREFECT_API_URL": prefect_server}
    with ExitStack() as stack:
        client = stack.enter_context(get_client(sync_client=True))
        automation = client.create_automation(AutomationCore.model_validate(lost))
        stack.callback(client.delete_automation, automation)  # it would end runs of other tests
        runs = {}
        processes = []
        for name, project in (("alive", "digits"), ("lost", "digits"), ("foreign", "shoes")):
            command = (sys.executable, "-c", RUN, project, name)
            processes.append(stack.enter_context(running(*command, cwd=tmp_path, env=env)))
            only = {"tags": {"all_": [name]}, "state": {"type": {"any_": ["RUNNING"]}}}
            assert until(lambda only=only: bool(flow_runs(**only)), seconds=240)
            [runs[name]] = flow_runs(**only)
        for process in processes[1:]:
            process.kill()
        assert until(lambda: state_of(runs["lost"].id).is_crashed(), seconds=120)
        assert state_of(runs["lost"].id).message == "its machine sent no heartbeat for 90 s"
        for name in ("alive", "foreign"):
            assert state_of(runs[name].id).is_running()


def ask():
    """Wait for a person, who never comes."""
    with suppress(FlowPauseTimeout):
        pause_flow_run(timeout=1, poll_interval=1)


@pytest.mark.slow
@pytest.mark.usefixtures("prefect_server")
def test_webhook_hears_of_a_paused_subflow():
    retrain = Flow(lambda: Flow(ask, name="promote")(), name="retrain")
    with automation("notify.yaml") as messages, get_client(sync_client=True) as client:
        for project in ("shoes", "digits"):
            with tags(project):
                retrain()
        # a subflow that fails is told by its parent, which has a deployment
        with tags("digits"):
            Flow(lambda: Failed(message="of a subflow"), name="train")(return_state=True)
        flow_id = client.create_flow(retrain)
        deployment = client.create_deployment(flow_id, name="digits-retrain", tags=["digits"])
        failed = Failed(message="of a deployment")
        client.create_flow_run_from_deployment(deployment, state=failed)
        assert until(lambda: len(messages) == 2, seconds=60)
    paused, failure = sorted(message.body["text"] for message in messages)
    hint = "its page asks a question; answer there, or type python flows/answer.py"
    # a server without an address of its page says None
    assert re.fullmatch(rf"promote · .* · Paused · {hint} .* approve --by NAME\nNone", paused)
    assert re.fullmatch(r"retrain · .* · Failed · of a deployment\nNone", failure)


def end_as(project, flow, name):
    """Run a flow that ends as a state of this name."""
    with tags(project):
        Flow(lambda: Completed(name=name), name=flow)()


@pytest.mark.slow
@pytest.mark.usefixtures("prefect_server")
def test_new_champion_starts_a_workflow_of_github():
    path = quoted("promotion.md", r'url="https://api\.github\.com(/repos/\S+)", headers')
    authorization = f"Bearer {TOKEN}"
    with automation("promoted.yaml", path, Authorization=authorization) as messages:
        ends = ("digits", "promote", "Refused"), ("digits", "retrain", "Promoted")
        for project, flow, name in (*ends, ("shoes", "promote", "Promoted")):
            end_as(project, flow, name)
        # the server may need a while until it heeds a new automation
        for _ in range(40):
            end_as("digits", "promote", "Promoted")
            if until(lambda: bool(messages), seconds=3):
                break
        model = "models:/digits@champion"
        payload = {"event_type": "promoted", "client_payload": {"model": model}}
        assert messages
        assert {*map(repr, messages)} == {repr(Message(path, authorization, payload))}


@pytest.mark.slow
@pytest.mark.usefixtures("deployed")
@pytest.mark.parametrize(("page", "flow"), [("serving.md", "score"), ("monitoring.md", "retrain")])
def test_documented_automation_is_accepted(page, flow):  # those of deploy/: by `make up`
    text = quoted(page, rf"```yaml\n(name: {flow} .*?)```")
    with get_client(sync_client=True) as client:
        deployment = client.read_deployment_by_name(f"{flow}/digits-{flow}").id
        values = yaml.safe_load(text.replace("ID", str(deployment)))
        client.create_automation(AutomationCore.model_validate(values))
