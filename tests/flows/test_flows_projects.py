"""Two projects on the same servers: what one has, the other neither has nor changes."""

import shutil
from pathlib import Path
from typing import Any

import arena
import numpy as np
import pytest
import yaml
from conftest import Project
from mlflow import MlflowClient
from prefect.client.orchestration import get_client
from support import SMALL, Server, until, write_params, write_project
from test_flows_registry import Digits

from digits import cli
from digits.core.artifacts import COMPARE, REPORT
from digits.core.dataset import Dataset
from digits.core.files import write_json, write_text
from digits.params import Params, project
from digits.registry.promotion import promote, rollback
from digits.stages.report import log_comparison
from digits.tracking import store, sweeps
from flows import deploy, notify
from flows.retrain import retrain
from flows.support import commands

pytestmark = pytest.mark.slow

# kind of thing: name: what would change if another project took it for its own
Held = dict[str, dict[str, Any]]
ONE, OTHER = "letters", "letters-2"


@pytest.fixture
def servers(
    workspace: Path, mlflow_server: Server, prefect_server: str, monkeypatch: pytest.MonkeyPatch
) -> MlflowClient:
    """Both servers, as everything below finds them."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", mlflow_server.uri)
    monkeypatch.setenv("PREFECT_API_URL", prefect_server)
    return MlflowClient(mlflow_server.uri)


def held(mlflow: MlflowClient) -> Held:
    """All that the servers hold by a name, except flows: those are named after their code."""
    experiments = mlflow.search_experiments(filter_string="name != 'Default'")

    def listed(path: str) -> list[dict[str, Any]]:
        only = {"filter": {"event": {"exclude_prefix": ["prefect."]}}} if path == "events" else {}
        with get_client(sync_client=True) as client:
            answer = client.request("POST", f"/{path}/filter", json=only).json()
        found: list[dict[str, Any]] = answer["events"] if path == "events" else answer
        return found

    deployments = listed("deployments")
    events = listed("events")
    return {
        "experiments": {e.name: len(mlflow.search_runs([e.experiment_id])) for e in experiments},
        "models": {m.name: dict(m.aliases) for m in mlflow.search_registered_models()},
        "pools": {pool["name"]: pool["id"] for pool in listed("work_pools")},
        "deployments": {
            f"{d['entrypoint']}/{d['name']}": (d["work_pool_name"], d["pull_steps"])
            for d in deployments
        },
        "variables": {each["name"]: each["value"] for each in listed("variables")},
        "automations": {each["name"]: each["trigger"] for each in listed("automations")},
        "blocks": {
            b["name"]: b["data"] for b in listed("block_documents") if not b["is_anonymous"]
        },
        "artifacts": {a["key"]: a["latest_id"] for a in listed("artifacts/latest")},
        "events": {event["event"]: None for event in events},
        "resources": {event["resource"]["prefect.resource.id"]: None for event in events},
    }


def log_and_promote(name: str, digits_8x8: Dataset, small_params: Params) -> None:
    """What a project has on MLflow's server, and the events that come of it."""
    write_project(digits_8x8, small_params)
    write_params(SMALL | {"project.name": name})
    arena.prepare(digits_8x8)
    store.connect()
    for _ in range(2):
        promote(arena.fighter(), project().name, judge=arena.accept)
    rollback(project().name)
    np.savez("new.npz", images=digits_8x8.images // 3)
    cli.score("new.npz", out="scored.parquet")
    with sweeps.parent_run("study", known=None, params={}):
        pass
    write_json(COMPARE / "metrics.json", {})
    write_text(REPORT, "page")
    log_comparison(["mlp"])


def deploy_and_retrain(name: str, root: Path) -> None:
    """What a project has on Prefect's server."""
    params = root / "params.yaml"
    values = yaml.safe_load(params.read_text()) | {"project": {"name": name}, "models": ["mlp"]}
    params.write_text(yaml.safe_dump(values))
    deploy.register()
    notify.main("http://127.0.0.1:9")
    state = retrain(return_state=True)
    assert state.name == "Promoted", state.message


@pytest.mark.usefixtures("tensorflow")
def test_they_share_no_name_and_leave_each_other_alone(
    servers: MlflowClient,
    template: Path,
    tmp_path: Path,
    digits_8x8: Dataset,
    small_params: Params,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (tmp_path / "bin").mkdir()
    monkeypatch.setattr(commands, "DIGITS", Digits(tmp_path / "bin").program)
    states = [held(servers)]
    for name in (ONE, OTHER):
        (tmp_path / name).mkdir()
        monkeypatch.chdir(tmp_path / name)
        log_and_promote(name, digits_8x8, small_params)
        shutil.copytree(template, tmp_path / f"{name}-flows")
        monkeypatch.chdir(tmp_path / f"{name}-flows")
        deploy_and_retrain(name, tmp_path / f"{name}-flows")
        assert until(lambda name=name: f"{name}.retrain" in held(servers)["events"])
        states.append(held(servers))
    before, with_one, with_both = states
    for kind in before:
        one, other = new(before, with_one, kind), new(with_one, with_both, kind)
        assert one, kind
        assert {name.replace(ONE, OTHER) for name in one} == other, kind


def new(before: Held, after: Held, kind: str) -> set[str]:
    """The names that came, when nothing that was there has changed."""
    assert before[kind].items() <= after[kind].items(), kind
    return after[kind].keys() - before[kind].keys()


def test_a_schedule_that_was_resumed_stays_so_when_all_is_registered_again(
    project: Project, prefect_server: str
) -> None:
    params = project.root / "params.yaml"
    params.write_text(params.read_text().replace("name: digits", "name: letters-3"))
    deploy.register()
    with get_client(sync_client=True) as client:
        nightly = client.read_deployment_by_name("train/letters-3-nightly")
        [schedule] = nightly.schedules
        assert not schedule.active
        client.update_deployment_schedule(nightly.id, schedule.id, active=True)
        deploy.register()
        [schedule] = client.read_deployment_by_name("train/letters-3-nightly").schedules
    assert schedule.active
