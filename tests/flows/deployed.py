"""A worker, and flow runs that it is sent, as the tests see them."""

import sys
from contextlib import contextmanager

import psutil
import yaml
from forge import github
from helpers import has_ended
from prefect.blocks.webhook import Webhook
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import FlowRunFilter, LogFilter
from prefect.deployments import run_deployment
from prefect.events.schemas.automations import AutomationCore
from support import REPOSITORY

PREFECT = (sys.executable, "-m", "prefect")


def submit(deployment="train/digits-train", /, **parameters):
    """Schedule a run of a deployment."""
    return run_deployment(deployment, parameters=parameters, timeout=0, as_subflow=False).id


def failure(flow, *arguments, **parameters):
    """The message with which a flow fails."""
    state = flow(*arguments, return_state=True, **parameters)
    assert state.is_failed(), state
    return str(state.message)


def ask(name, /, **arguments):
    """What a method of Prefect's client returns."""
    with get_client(sync_client=True) as client:
        return getattr(client, name)(**arguments)


def flow_runs(**only):
    """Flow runs by Prefect's filter, such as `state={"type": {"any_": ["PAUSED"]}}`."""
    return ask("read_flow_runs", flow_run_filter=FlowRunFilter.model_validate(only))


def tasks_of(flow_run_id):
    """The task runs of a flow run: name, and whether it completed."""
    only = FlowRunFilter.model_validate({"id": {"any_": [flow_run_id]}})
    runs = ask("read_task_runs", flow_run_filter=only)
    return {run.name: run.state.is_completed() for run in runs}


def state_of(flow_run_id):
    """Its state now."""
    return ask("read_flow_run", flow_run_id=flow_run_id).state


def log_of(flow_run_id):
    """What Prefect's UI shows as the log of a flow run."""
    only = LogFilter.model_validate({"flow_run_id": {"any_": [flow_run_id]}})
    return "\n".join(line.message for line in ask("read_logs", log_filter=only))


def running_stages(project):
    """The processes of stages that started and live."""
    pids = [int(words[1]) for words in project.log()]
    return [psutil.Process(pid) for pid in pids if not has_ended(pid)]


@contextmanager
def automation(file, path="", **headers):
    """What the automation of this file in deploy/ sends to its webhook within the block."""
    text = (REPOSITORY / "deploy" / file).read_text("utf-8")
    with github() as (address, messages):
        block = Webhook(url=f"{address}{path}", headers=headers).save("webhook", overwrite=True)
        values = yaml.safe_load(text.replace("BLOCK", str(block)))
        automation = AutomationCore.model_validate(values)
        automation_id = ask("create_automation", automation=automation)
        yield messages
        ask("delete_automation", automation_id=automation_id)
