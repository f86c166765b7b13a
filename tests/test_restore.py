"""After `dvc pull` on another machine the store is empty: the runs are logged again."""

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from mlflow import MlflowClient
from mlflow.entities import Run
from support import finding

from digits.data import load_split
from digits.errors import DataError
from digits.files import read_json
from digits.outputs import TrainOutputs
from digits.restoration import restore_all
from digits.tracking import restore, runs, store

pytestmark = pytest.mark.usefixtures("tensorflow")


@pytest.fixture
def original(trained_project: Path) -> Run:
    """The run as it is known where the model was trained."""
    record = read_json(trained_project / "artifacts/train/mlp/run.json")
    return MlflowClient(f"sqlite:///{trained_project}/mlflow.db").get_run(record["run_id"])


@pytest.fixture
def clone(tracked: Path, trained_project: Path) -> Path:
    """The outputs of a training elsewhere, and a store that knows nothing of it."""
    shutil.copytree(trained_project / "artifacts", "artifacts")
    shutil.copy(trained_project / "params.yaml", "params.yaml")
    return tracked


def all_runs() -> list[Run]:
    store.connect()
    client = MlflowClient()
    return list(client.search_runs([e.experiment_id for e in client.search_experiments()]))


def restored() -> Run:
    restore_all()
    [run] = all_runs()
    return run


def test_a_run_that_the_store_knows_is_left_alone(
    workspace: Path, trained_project: Path, original: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(trained_project, workspace / "project")
    monkeypatch.chdir(workspace / "project")
    restore_all()
    assert [run.info.run_id for run in all_runs()] == [original.info.run_id]
    assert restore.known(TrainOutputs("mlp")) == (
        original.info.run_id,
        original.outputs.model_outputs[0].model_id,
    )


def test_a_run_that_the_store_does_not_know_is_logged_again(
    clone: Path, original: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    run = restored()
    assert capsys.readouterr().out == "mlp: logged again from DVC's outputs\n"
    assert run.info.run_id != original.info.run_id
    assert run.info.status == "FINISHED"
    assert run.data.tags["restored_from"] == original.info.run_id


def test_it_holds_what_the_original_held(clone: Path, original: Run) -> None:
    run = restored()
    assert run.info.run_name == original.info.run_name
    assert run.data.params == original.data.params
    assert run.data.metrics == original.data.metrics
    assert run.inputs.dataset_inputs[0].dataset.digest in {
        found.dataset.digest for found in original.inputs.dataset_inputs
    }
    kept = set(original.data.tags) - {store.PROCESS_TAG, "mlflow.source.name"}
    assert kept <= set(run.data.tags)


def test_it_has_the_curves_of_the_original(
    clone: Path, original: Run, trained_project: Path
) -> None:
    def curve(client: MlflowClient, run: Run) -> list[tuple[int, float]]:
        points = client.get_metric_history(run.info.run_id, "val_loss")
        return [(point.step, point.value) for point in points]

    run = restored()
    there = MlflowClient(f"sqlite:///{trained_project}/mlflow.db")
    assert curve(MlflowClient(), run) == curve(there, original)


def test_it_has_the_artifacts_of_the_original(
    clone: Path, original: Run, trained_project: Path
) -> None:
    def names(client: MlflowClient, run: Run) -> set[str]:
        found: set[str] = set()
        folders: list[str | None] = [None]
        while folders:
            for file in client.list_artifacts(run.info.run_id, folders.pop()):
                (folders.append if file.is_dir else found.add)(file.path.split("+")[0])
        return found

    run = restored()
    there = MlflowClient(f"sqlite:///{trained_project}/mlflow.db")
    assert names(MlflowClient(), run) == names(there, original)


def test_its_model_predicts_what_the_original_predicted(clone: Path) -> None:
    import mlflow

    run = restored()
    model = mlflow.pyfunc.load_model(f"models:/{run.data.tags['model_id']}")
    images = load_split(Path("artifacts/split/test.npz")).data.images
    with np.load("artifacts/evaluate/mlp/predictions.npz") as predictions:
        np.testing.assert_allclose(model.predict(images), predictions["test"], rtol=1e-5, atol=1e-7)


def test_the_second_time_nothing_is_left_to_do(
    clone: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first = restored()
    capsys.readouterr()
    assert restored().info.run_id == first.info.run_id
    assert capsys.readouterr().out == ""
    assert restore.known(TrainOutputs("mlp")) == (first.info.run_id, first.data.tags["model_id"])


def test_a_deleted_run_is_logged_again(clone: Path) -> None:
    first = restored()
    MlflowClient().delete_run(first.info.run_id)
    assert restored().info.run_id != first.info.run_id


def test_a_restoration_that_failed_half_way_does_not_count(clone: Path, original: Run) -> None:
    tags = {"restored_from": original.info.run_id}

    def half() -> None:
        with runs.run("mlp", params={}, tags=tags):
            raise DataError("half-way")

    finding(DataError, half)
    restore_all()
    assert sorted(run.info.status for run in all_runs()) == ["FAILED", "FINISHED"]


def test_under_mlflow_run_it_is_found_again_too(
    clone: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.connect()
    parent = MlflowClient().create_run(MlflowClient().create_experiment("of the user"))
    monkeypatch.setenv("MLFLOW_RUN_ID", parent.info.run_id)
    restore_all()
    restore_all()
    assert len(all_runs()) == 2


def test_a_training_without_an_evaluation_is_logged_again_as_it_is(clone: Path) -> None:
    shutil.rmtree("artifacts/evaluate")
    metrics: dict[str, Any] = restored().data.metrics
    assert "val_accuracy" in metrics
    assert not any(name.startswith("test_") for name in metrics)


def test_without_trainings_there_is_nothing_to_do(clone: Path) -> None:
    shutil.rmtree("artifacts")
    restore_all()
    assert all_runs() == []


@pytest.mark.parametrize("content", ["", "[]", '{"run_id": "0"}', "{"])
def test_a_damaged_record_is_one_line(clone: Path, content: str) -> None:
    Path("artifacts/train/mlp/run.json").write_text(content)
    assert finding(DataError, restore_all).startswith("artifacts/train/mlp/run.json: not ")
    assert all_runs() == []


@pytest.mark.parametrize("file", ["model.keras", "metrics.json"])
def test_a_missing_output_is_one_line_and_leaves_no_run(clone: Path, file: str) -> None:
    Path(f"artifacts/train/mlp/{file}").unlink()
    assert finding(DataError, restore_all).startswith(f"artifacts/train/mlp/{file}: no")
    assert all_runs() == []
