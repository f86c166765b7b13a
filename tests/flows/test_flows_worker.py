"""Flow runs on a real worker: several at once, and cancelled."""

from functools import partial
from uuid import UUID

import psutil
import pytest
from deployed import completes, running_stages, state_of, submit
from prefect.client.orchestration import get_client
from prefect.states import Cancelling
from small_project import Project
from support import has_ended, until

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
