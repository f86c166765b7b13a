"""What Prefect's pages show of a flow: the choices in its form, and the names of its runs."""

from pathlib import Path
from typing import Any

import pytest
from deployed import Worker, completes, submit
from prefect.client.orchestration import get_client
from prefect.exceptions import PrefectHTTPStatusError
from prefect.settings import get_current_settings
from prefect.utilities.callables import parameter_schema
from small_project import Project

from flows.train import train

pytestmark = [pytest.mark.slow]

MODELS = ["mlp", "cnn", "compact", "sprint", "best"]
STAGES = ["prepare", "train", "train@mlp", "train@cnn", "compare"]


def choices(deployment: str, parameter: str) -> list[str]:
    """What the form of a deployment offers for a parameter."""
    with get_client(sync_client=True) as client:
        form = client.read_deployment_by_name(deployment).parameter_openapi_schema
    assert form is not None
    shown: dict[str, Any] = form["properties"][parameter]
    assert shown["description"]
    found: list[str] = shown.get("items", shown)["enum"]
    return found


@pytest.mark.usefixtures("deployment")
def test_the_forms_offer_the_models_spaces_and_stages_of_the_project() -> None:
    assert choices("promote/digits", "model") == MODELS
    assert choices("retrain/digits", "models") == MODELS
    assert choices("sweep/digits", "model") == MODELS
    assert choices("sweep/digits", "space") == ["spaces/mlp.yaml"]
    assert choices("train/digits", "targets") == STAGES
    assert choices("promote/digits", "approval") == ["required", "none"]


@pytest.mark.usefixtures("deployment")
@pytest.mark.parametrize(
    ("deployment_name", "parameters", "reason"),
    [
        ("promote/digits", {"model": "gnn"}, "'gnn' is not one of ['mlp', 'cnn'"),
        ("promote/digits", {}, "'model' is a required property"),
        ("train/digits", {"targets": ["trian"]}, "'trian' is not one of ['prepare', 'train'"),
        ("train/digits", {"max_parallel": -1}, "-1 is less than the minimum of 0"),
    ],
)
def test_the_server_refuses_what_its_form_does_not_offer(
    deployment_name: str, parameters: dict[str, Any], reason: str
) -> None:
    with pytest.raises(PrefectHTTPStatusError) as refused:
        submit(deployment_name, **parameters)
    assert reason in str(refused.value)


def test_each_deployment_tells_project_kind_and_code_and_no_password_of_a_remote(
    deployment: tuple[Project, Worker],
) -> None:
    with get_client(sync_client=True) as client:
        deployed = client.read_deployments()
    found = [each for each in deployed if each.name.startswith("digits")]
    head = deployment[0].git("rev-parse", "--short=12", "HEAD").strip()
    assert {each.version for each in found} == {head}
    assert {tuple(each.tags) for each in found if each.name == "digits"} == {
        ("digits", kind) for kind in ("train", "sweep", "promote", "score")
    } | {("digits", kind, "scheduled") for kind in ("monitor", "retrain")}
    address = get_current_settings().server.database.connection_url
    assert address is not None
    database = Path(address.get_secret_value().split("///")[1])
    stored = b"".join(path.read_bytes() for path in database.parent.glob(f"{database.name}*"))
    assert head.encode() in stored
    assert b"hunter2" not in stored


def test_a_run_is_named_after_its_parameters_and_its_experiment_is_not(deployed: Project) -> None:
    overrides = {"train.mlp.fit.epochs": 5, "train.mlp.fit.batch_size": 64}
    run_id = submit(targets=["prepare"], overrides=overrides)
    assert completes(run_id)
    with get_client(sync_client=True) as client:
        run = client.read_flow_run(run_id)
    name, _, parameters = run.name.partition(": ")
    assert parameters == ("targets=prepare, train.mlp.fit.epochs=5, train.mlp.fit.batch_size=64")
    assert name in deployed.dvc("exp", "list", "--name-only").split()
    assert run.flow_version == deployed.git("rev-parse", "--short=12", "HEAD").strip()


@pytest.mark.usefixtures("prefect_server")
def test_the_name_of_a_run_holds_no_credentials(project: Project) -> None:
    overrides = {"project.name": "postgresql://me:secret@db.example/digits"}
    state = train(overrides=overrides, return_state=True)
    assert state.is_failed()
    with get_client(sync_client=True) as client:
        name = client.read_flow_run(state.state_details.flow_run_id).name
    assert name.endswith(": project.name=postgresql://***@db.example/digits")


def test_a_flow_can_be_imported_where_there_is_no_project(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    targets = parameter_schema(train).properties["targets"]
    assert targets["items"] == {"type": "string"}
    assert list(tmp_path.iterdir()) == []
