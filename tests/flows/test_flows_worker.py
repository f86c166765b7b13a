"""Flow runs on a real worker: several at once, cancelled, and told of when they fail."""

import json
import re
from collections.abc import Iterator
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from uuid import UUID

import psutil
import pytest
import yaml
from deployed import completes, running_stages, state_of, submit, submit_unchecked
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import (
    FlowRunFilter,
    FlowRunFilterDeploymentId,
    LogFilter,
    LogFilterFlowRunId,
)
from prefect.client.schemas.objects import FlowRun
from prefect.events.schemas.automations import AutomationCore
from prefect.states import Cancelling
from small_project import Project
from support import REPOSITORY, has_ended, until

from digits.core import events
from digits.scoring.drift import tell_drift
from flows import notify

pytestmark = [pytest.mark.slow]


def flow_process(stage: psutil.Process) -> psutil.Process:
    """The process of the flow run that started the stage."""
    return next(p for p in stage.parents() if "prefect.engine" in p.cmdline())


def sleeping_stage(project: Project) -> psutil.Process:
    """The process of the stage train@mlp, once it sleeps."""
    assert until(lambda: running_stages(project) != [], seconds=240)
    assert until(lambda: project.ran()[-1] == "train-mlp", seconds=240)
    return running_stages(project)[-1]


def test_three_runs_with_different_overrides_at_once_make_three_experiments_and_touch_nothing(
    deployed: Project,
) -> None:
    before, noted = deployed.files(), len(deployed.log("end"))
    runs = [submit(overrides={"train.mlp.fit.epochs": epochs}) for epochs in (2, 3, 4)]
    assert all(list(map(completes, runs)))
    assert deployed.files() == before
    assert len(deployed.dvc("exp", "list", "--name-only").split()) == 3
    ends = [words for words in deployed.log("end")[noted:] if words[0] == "train-mlp"]
    assert {flow_run for *_, flow_run in ends} == set(map(str, runs))


def cancel(flow_run_id: UUID) -> None:
    """As `prefect flow-run cancel` does."""
    with get_client(sync_client=True) as client:
        client.set_flow_run_state(flow_run_id, Cancelling())


def test_a_cancelled_run_leaves_no_process_and_does_not_hinder_the_next(deployed: Project) -> None:
    deployed.sleeps("train-mlp", 600)
    cancelled = submit(targets=["train@mlp"], force=True)
    flow = flow_process(sleeping_stage(deployed))
    cancel(cancelled)
    assert until(lambda: running_stages(deployed) == [], seconds=30)
    assert until(partial(has_ended, flow.pid), seconds=60)
    deployed.works()
    assert completes(submit())
    assert state_of(cancelled).name == "Cancelled"


class Listener(ThreadingHTTPServer):
    """A chat's webhook, on a port of its own; `said` is what it was told."""

    def __init__(self) -> None:
        self.said: list[str] = []
        super().__init__(("127.0.0.1", 0), Hook)


class Hook(BaseHTTPRequestHandler):
    """One call of the webhook."""

    server: Listener

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.said.append(json.loads(body)["text"])
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def listener() -> Iterator[Listener]:
    """A webhook that listens."""
    with Listener() as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def log_of(flow_run_id: UUID) -> str:
    """What Prefect's UI shows as the log of a flow run."""
    only = LogFilter(flow_run_id=LogFilterFlowRunId(any_=[flow_run_id]))
    with get_client(sync_client=True) as client:
        return "\n".join(line.message for line in client.read_logs(only))


def test_a_run_that_fails_logs_its_message_and_no_traceback(deployed: Project) -> None:
    failed = [
        submit_unchecked("train/digits", targets=["trian"]),
        submit("score/digits", source="nowhere.csv"),
        submit_unchecked("promote/digits", model="gnn", approval="none"),
        submit_unchecked("retrain/digits", models=["gnn"]),
    ]
    assert [completes(run) for run in failed] == [False] * 4
    for run in failed:
        assert until(lambda run=run: "Finished in state Failed" in log_of(run))
        assert "Traceback" not in log_of(run)


def test_a_webhook_is_told_once_of_a_run_that_fails(deployed: Project, listener: Listener) -> None:
    notify.main("http://127.0.0.1:9")
    notify.main(f"http://127.0.0.1:{listener.server_port}")  # in place of the first
    failed = submit_unchecked(targets=["trian"])
    assert not completes(failed)
    assert until(lambda: listener.said != [], seconds=60)
    [said] = listener.said
    assert said.startswith("train · ")
    assert "· Failed · targets: 'trian' is no stage; there are" in said


@pytest.fixture
def automation() -> Iterator[FlowRunFilter]:
    """The automation of the how-to, and the runs of the deployment that it names."""
    [text] = re.findall(
        r"```yaml\n(name: score .*?)```", (REPOSITORY / "docs/how-to/serving.md").read_text(), re.S
    )
    with get_client(sync_client=True) as client:
        deployment = client.read_deployment_by_name("score/digits").id
        made = client.create_automation(
            AutomationCore(**yaml.safe_load(text.replace("ID", str(deployment))))
        )
        yield FlowRunFilter(deployment_id=FlowRunFilterDeploymentId(any_=[deployment]))
        client.delete_automation(made)


def test_the_automation_of_readme_scores_with_each_new_champion_however_it_came(
    deployed: Project,
    prefect_server: str,
    automation: FlowRunFilter,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def runs() -> list[FlowRun]:
        with get_client(sync_client=True) as client:
            return client.read_flow_runs(flow_run_filter=automation)

    before = {run.id for run in runs()}
    monkeypatch.setenv("PREFECT_API_URL", prefect_server)
    for event in ("digits.promote", "digits.rollback", "digits.drift"):
        events.emit(event, {"prefect.resource.id": "digits.champion"}, {})
    assert until(lambda: len(runs()) >= len(before) + 2, seconds=60)
    started = [run for run in runs() if run.id not in before]
    assert [run.parameters for run in started] == [{"source": "images"}] * 2
    assert [completes(run.id) for run in started] == [False] * 2  # there is no champion here


RETRAIN_AFTER_DRIFT = """\
name: retrain after drift
trigger: {type: event, expect: [digits.drift]}
actions:
  - {type: run-deployment, source: selected, deployment_id: ID, parameters: {}}
"""


def test_drift_starts_a_retraining_by_an_automation(
    deployed: Project, prefect_server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PREFECT_API_URL", prefect_server)
    with get_client(sync_client=True) as client:
        deployment = client.read_deployment_by_name("retrain/digits").id
        text = RETRAIN_AFTER_DRIFT.replace("ID", str(deployment))
        made = client.create_automation(AutomationCore(**yaml.safe_load(text)))
    of_retrain = FlowRunFilter(deployment_id=FlowRunFilterDeploymentId(any_=[deployment]))

    def runs() -> set[UUID]:
        with get_client(sync_client=True) as client:
            return {run.id for run in client.read_flow_runs(flow_run_filter=of_retrain)}

    before = runs()
    try:
        tell_drift("digits", "monitor", [], {})
        tell_drift("digits", "monitor", ["features"], {"drifted": ["features"]})
        assert until(lambda: runs() != before, seconds=60)
        [started] = runs() - before
        assert not completes(started)  # there is no tracking store to promote in
    finally:
        with get_client(sync_client=True) as client:
            client.delete_automation(made)
