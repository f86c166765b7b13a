"""Deployments, and flow runs on a real worker: overridden, cancelled, killed, in a fresh clone."""

import re
import shutil
from contextlib import suppress

import pytest
import yaml
from deployed import PREFECT, ask, automation, running_stages, state_of, submit
from forge import TOKEN, Message
from helpers import has_ended, until
from prefect import Flow, pause_flow_run, tags
from prefect.client.orchestration import get_client
from prefect.events.schemas.automations import AutomationCore
from prefect.exceptions import FlowPauseTimeout
from prefect.states import Cancelling, Completed, Failed
from prefect.utilities.importtools import import_object
from small_project import run
from support import REPOSITORY, quoted

from digits.project import load_project
from imageproof.base.files import read_yaml

DEPLOYMENTS = yaml.safe_load((REPOSITORY / "prefect.yaml").read_text("utf-8"))["deployments"]


def test_prefect_yaml_fits_flows(monkeypatch):
    monkeypatch.chdir(REPOSITORY)
    named = load_project()
    for deployment in DEPLOYMENTS:
        flow = import_object(deployment["entrypoint"])
        assert deployment["name"] in (named.part(flow.name), named.part("nightly"))
        assert deployment["tags"][:2] == [named.name, flow.name]
        assert {*deployment.get("parameters", {})} <= {*flow.parameters.properties}
    ends, pauses = read_yaml(REPOSITORY / "deploy/notify.yaml")["trigger"]["triggers"]
    names = sorted(deployment["name"] for deployment in DEPLOYMENTS)
    assert sorted(ends["match_related"]["prefect.resource.name"]) == names
    lost = read_yaml(REPOSITORY / "deploy/automations/lost-run.yaml")
    for trigger in (pauses, lost["trigger"]):
        tag = trigger["match_related"]["prefect.resource.id"].removeprefix("prefect.tag.")
        assert all(tag in deployment["tags"] for deployment in DEPLOYMENTS)
    table = quoted("schedules.md", r"\| flow \| names \|\n(.*?)\n\n")
    final = {f"prefect.flow-run.{name}" for name in re.findall(r"`([A-Z]\w+)`", table)}
    assert final < {*lost["trigger"]["expect"]}


@pytest.mark.slow
def test_rerun_after_kill(deployment, deployed):
    deployed.sleeps("prepare", 600)
    killed = submit(force=True)
    assert until(lambda: running_stages(deployed) != [], seconds=240)
    [flow] = [process for process in deployment[1].children() if not has_ended(process.pid)]
    flow.kill()
    assert until(lambda: state_of(killed).is_crashed(), seconds=180)
    assert until(lambda: running_stages(deployed) == [], seconds=180)
    deployed.works()
    second = submit(force=True)
    assert until(lambda: state_of(second).is_completed(), seconds=240), state_of(second)
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
    variable = f'env={{"COMMIT": "{commit}"}}'
    for command in (["deploy", "--name", "digits-gpu"], [*watch.split(), variable]):
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
    # as `prefect flow-run cancel` does
    ask("set_flow_run_state", flow_run_id=cancelled, state=Cancelling())
    assert until(lambda: running_stages(deployed) == [], seconds=180)
    assert until(lambda: state_of(cancelled).name == "Cancelled", seconds=180)


def pause():
    """Wait for a person, who never comes."""
    with suppress(FlowPauseTimeout):
        pause_flow_run(timeout=1, poll_interval=1)


@pytest.mark.slow
@pytest.mark.usefixtures("prefect_server")
def test_webhook_hears_of_a_paused_subflow():
    retrain = Flow(lambda: Flow(pause, name="promote")(), name="retrain")
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


@pytest.mark.slow
@pytest.mark.usefixtures("prefect_server")
def test_new_champion_starts_a_workflow_of_github():
    path = quoted("promotion.md", r'url="https://api\.github\.com(/repos/\S+)", headers')
    authorization = f"Bearer {TOKEN}"
    ends = [("digits", "promote", "Refused"), ("digits", "retrain", "Promoted")]
    ends += [("shoes", "promote", "Promoted"), ("digits", "promote", "Promoted")]

    def hears(messages):
        for project, flow, name in ends:
            with tags(project):
                Flow(lambda name=name: Completed(name=name), name=flow)()
        return until(lambda: bool(messages), seconds=3)

    with automation("promoted.yaml", path, Authorization=authorization) as messages:
        # the server may need a while until it heeds a new automation
        assert until(lambda: hears(messages), seconds=120)
    payload = {"event_type": "promoted", "client_payload": {"model": "models:/digits@champion"}}
    assert {*map(repr, messages)} == {repr(Message(path, authorization, payload))}


@pytest.mark.slow
@pytest.mark.usefixtures("deployed")
@pytest.mark.parametrize(
    ("page", "flow"), [("schedules.md", "score"), ("monitoring.md", "retrain")]
)
def test_documented_automation_is_accepted(page, flow):  # those of deploy/: by `make up`
    text = quoted(page, rf"```yaml\n(name: {flow} .*?)```")
    deployment = ask("read_deployment_by_name", name=f"{flow}/digits-{flow}")
    values = yaml.safe_load(text.replace("ID", str(deployment.id)))
    ask("create_automation", automation=AutomationCore.model_validate(values))
