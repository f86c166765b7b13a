"""A worker, and flow runs that it is sent, as the tests see them."""

import sys
from contextlib import ExitStack, contextmanager

import psutil
import yaml
from forge import github
from helpers import has_ended, until
from prefect.blocks.webhook import Webhook
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import FlowRunFilter, LogFilter
from prefect.client.schemas.objects import FlowRun
from prefect.deployments import run_deployment
from prefect.events.schemas.automations import AutomationCore
from support import REPOSITORY

PREFECT = (sys.executable, "-m", "prefect")


def submit(deployment="train/digits-train", /, **parameters):
    """Schedule a run of a deployment."""
    flow_run = run_deployment(deployment, parameters=parameters, timeout=0, as_subflow=False)
    assert isinstance(flow_run, FlowRun)
    return flow_run.id


def failure(flow, *arguments, **parameters):
    """The message with which a flow fails."""
    state = flow(*arguments, return_state=True, **parameters)
    assert state.is_failed(), state
    return str(state.message)


def flow_runs(**only):
    """Flow runs by Prefect's filter, such as `state={"type": {"any_": ["PAUSED"]}}`."""
    with get_client(sync_client=True) as client:
        return client.read_flow_runs(flow_run_filter=FlowRunFilter.model_validate(only))


def tasks_of(flow_run_id):
    """The task runs of a flow run: name, and whether it completed."""
    only = FlowRunFilter.model_validate({"id": {"any_": [flow_run_id]}})
    with get_client(sync_client=True) as client:
        runs = client.read_task_runs(flow_run_filter=only)
    return {run.name: bool(run.state and run.state.is_completed()) for run in runs}


def state_of(flow_run_id):
    """Its state now."""
    with get_client(sync_client=True) as client:
        state = client.read_flow_run(flow_run_id).state
    assert state is not None
    return state


def completes(flow_run_id):
    """Whether the run ends well; if not, pytest shows its state and its log."""
    assert until(lambda: state_of(flow_run_id).is_final(), seconds=240)
    well = state_of(flow_run_id).is_completed()
    if not well:
        print(repr(state_of(flow_run_id)), log_of(flow_run_id))
    return well


def log_of(flow_run_id):
    """What Prefect's UI shows as the log of a flow run."""
    only = LogFilter.model_validate({"flow_run_id": {"any_": [flow_run_id]}})
    with get_client(sync_client=True) as client:
        return "\n".join(line.message for line in client.read_logs(only))


def running_stages(project):
    """The processes of stages that started and live."""
    pids = [int(words[1]) for words in project.log()]
    return [psutil.Process(pid) for pid in pids if not has_ended(pid)]


@contextmanager
def automation(file, path="", **headers):
    """What the automation of this file in deploy/ sends to its webhook within the block."""
    text = (REPOSITORY / "deploy" / file).read_text("utf-8")
    with ExitStack() as stack:
        address, messages = stack.enter_context(github())
        block = Webhook(url=f"{address}{path}", headers=headers).save("webhook", overwrite=True)
        values = yaml.safe_load(text.replace("BLOCK", str(block)))
        client = stack.enter_context(get_client(sync_client=True))
        created = client.create_automation(AutomationCore.model_validate(values))
        stack.callback(client.delete_automation, created)
        yield messages
