"""After `dvc pull` on another machine the store is empty: the runs are logged again."""

import json
import os
import shutil
from pathlib import Path

import mlflow
import pytest
from helpers import commit, finding, git, python, record_outputs
from mlflow import MlflowClient
from mlflow.entities import Run
from support import NAME, write_params

from digits.project import load_project
from imageproof.artifacts import WORKSPACE, run_page
from imageproof.base.errors import DataError, IntegrityError
from imageproof.base.files import md5, read_json
from imageproof.cli.ui import address
from imageproof.mlflow import logged_model, page, restore, runs, store
from imageproof.mlflow.restore import restore_all
from imageproof.system import process


@pytest.fixture(scope="module")
def original(trained_project: Path) -> Run:
    """The run as it is known where the model was trained."""
    record = read_json(trained_project / "artifacts/train/mlp/run.json", dict)
    return MlflowClient(f"sqlite:///{trained_project}/mlflow.db").get_run(record["run_id"])


@pytest.fixture
def clone(tracked: Path, trained_project: Path) -> Path:
    """The outputs of a training elsewhere, and a store that knows nothing of it."""
    shutil.copytree(trained_project / "artifacts", "artifacts")
    shutil.copy(trained_project / "params.yaml", "params.yaml")
    return tracked


def datasets(run: Run) -> dict[str, str]:
    """The md5 of each input dataset, by name."""
    return {each.dataset.name: each.dataset.digest for each in run.inputs.dataset_inputs}


def all_runs() -> list[Run]:
    store.connect(NAME)
    client = MlflowClient()
    return list(client.search_runs([e.experiment_id for e in client.search_experiments()]))


def artifacts(client: MlflowClient, run: Run) -> set[str]:
    found: set[str] = set()
    folders: list[str | None] = [None]
    while folders:
        for file in client.list_artifacts(run.info.run_id, folders.pop()):
            (folders.append if file.is_dir else found.add)(file.path.split("+")[0])
    return found


def own_tags(run: Run) -> dict[str, str]:
    """The tags that a restored run has in common with its original."""
    other = {logged_model.MODEL_SHA256, "restored_from", "outputs"}
    return {k: v for k, v in runs.own_tags(run.data.tags).items() if k not in other}


def test_restored_run_equals_original(clone: Path, trained_project: Path, original: Run) -> None:
    there = MlflowClient(f"sqlite:///{trained_project}/mlflow.db")
    record_outputs()
    restore_all(load_project())
    [run] = all_runs()
    client, run_id = MlflowClient(), run.info.run_id
    assert run_id != original.info.run_id == run.data.tags["digits.restored_from"]
    assert (run.info.status, run.info.run_name) == ("FINISHED", original.info.run_name)
    assert run.data.tags["mlflow.runColor"] == original.data.tags["mlflow.runColor"]
    assert run.data.params == original.data.params
    assert run.data.metrics == original.data.metrics
    assert own_tags(run) == own_tags(original)
    assert datasets(run) == datasets(original)
    assert datasets(run).keys() == {"train", "validation", "test", "holdout"}
    text = Path("params.yaml").read_text("utf-8")
    assert mlflow.artifacts.load_text(f"runs:/{run_id}/params.yaml") == text
    for metric in ("loss", "val_accuracy"):
        here, origin = (
            [(p.step, p.value) for p in c.get_metric_history(r.info.run_id, metric)]
            for c, r in ((client, run), (there, original))
        )
        assert here == origin
    assert artifacts(client, run) == artifacts(there, original)


def test_known_run_is_left_alone(
    workspace: Path, trained_project: Path, original: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(trained_project, workspace / "project")
    monkeypatch.chdir(workspace / "project")
    restore_all(load_project())
    assert [run.info.run_id for run in all_runs()] == [original.info.run_id]
    known = restore.known(WORKSPACE.trained("mlp"), load_project())
    assert known.info.run_id == original.info.run_id
    assert runs.model_id(known) == original.outputs.model_outputs[0].model_id


def test_restores_once_until_deleted(clone: Path, capsys: pytest.CaptureFixture[str]) -> None:
    restore_all(load_project())
    [first] = all_runs()
    assert capsys.readouterr().out == "mlp: logged again from DVC's outputs\n"
    assert restore.known(WORKSPACE.trained("mlp"), load_project()).info.run_id == first.info.run_id
    restore_all(load_project())
    assert [run.info.run_id for run in all_runs()] == [first.info.run_id]
    assert capsys.readouterr().out == ""
    MlflowClient().delete_run(first.info.run_id)
    assert restore.known(WORKSPACE.trained("mlp"), load_project()) is None
    restore_all(load_project())
    assert first.info.run_id not in [run.info.run_id for run in all_runs()]


def test_unfinished_run_does_not_count(clone: Path, original: Run) -> None:
    experiment, tags = store.connect(NAME), {"digits.restored_from": original.info.run_id}
    for status in ("FAILED", "RUNNING"):
        half = MlflowClient().create_run(experiment, tags=tags)
        MlflowClient().update_run(half.info.run_id, status)
    restore_all(load_project())
    assert sorted(run.info.status for run in all_runs()) == ["FAILED", "FINISHED", "RUNNING"]


def test_missing_evaluation_is_added_to_its_run(clone: Path, original: Run) -> None:
    restore_all(load_project())
    [run] = all_runs()
    MlflowClient().delete_tag(run.info.run_id, restore.EVALUATION_SHA256)  # the last to arrive
    Path("artifacts/evaluate/mlp/behaviour.json").write_text('{"clean": 0.25}')
    for _ in range(2):
        restore_all(load_project())
    [again] = all_runs()
    assert again.info.run_id == run.info.run_id
    assert again.data.metrics["behaviour_clean"] == 0.25
    history = MlflowClient().get_metric_history(run.info.run_id, "behaviour_clean")
    assert len(history) == 2


def test_restored_run_is_found_in_mlflow_run(clone: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store.connect(NAME)
    parent = MlflowClient().create_run(MlflowClient().create_experiment("of the user"))
    monkeypatch.setenv("MLFLOW_RUN_ID", parent.info.run_id)
    restore_all(load_project())
    restore_all(load_project())
    assert len(all_runs()) == 2


def test_second_project_gets_runs_of_its_own(clone: Path) -> None:
    restore_all(load_project())
    write_params({"project.name": "second"})
    restore_all(load_project())
    restore_all(load_project())
    first, second = (
        MlflowClient().search_runs([store.connect(name)]) for name in ("digits", "second")
    )
    assert (len(first), len(second)) == (1, 1)
    known = restore.known(WORKSPACE.trained("mlp"), load_project())
    assert known.info.run_id == second[0].info.run_id


def test_training_without_evaluation_is_restored(clone: Path) -> None:
    shutil.rmtree("artifacts/evaluate")
    restore_all(load_project())
    [run] = all_runs()
    assert "val_accuracy" in run.data.metrics
    assert not any(name.startswith("test_") for name in run.data.metrics)


def test_evaluation_of_another_training_is_not_restored(
    clone: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    record_outputs()
    lock = json.loads(Path("dvc.lock").read_text())
    read = {"path": "artifacts/train/mlp", "md5": f"{'1' * 32}.dir"}  # `make run` was interrupted
    lock["stages"]["evaluate@mlp"]["deps"].append(read)
    Path("dvc.lock").write_text(json.dumps(lock))
    restore_all(load_project())
    assert capsys.readouterr().out.startswith("warning: evaluate@mlp: is of another training; ")
    [run] = all_runs()
    assert "val_accuracy" in run.data.metrics
    assert not any(name.startswith("test_") for name in run.data.metrics)


def test_damaged_missing_or_replaced_output_leaves_no_run(clone: Path) -> None:
    for name in ("split/split.json", "train/mlp/model.onnx", "evaluate/mlp/metrics.json"):
        path = Path("artifacts", name)
        record_outputs()
        before = path.read_bytes()
        path.write_bytes(before + b" ")
        assert finding(IntegrityError, lambda: restore_all(load_project())).startswith(
            f"{path}: md5 "
        )
        path.write_bytes(before)
    Path("dvc.lock").unlink()
    record = Path("artifacts/train/mlp/run.json")
    before, other = record.read_text(), json.dumps(read_json(record, dict) | {"run_id": "../x"})
    for damaged in ("", '{"run_id": "0"}', other):
        record.write_text(damaged)
        assert finding(DataError, lambda: restore_all(load_project())).startswith(f"{record}: not ")
    record.write_text(before)
    for name in ("metrics.json", "model.onnx"):
        path = Path("artifacts/train/mlp", name)
        path.rename(kept := path.with_suffix(".kept"))
        assert finding(DataError, lambda: restore_all(load_project())).startswith(f"{path}: no")
        kept.rename(path)
    assert all_runs() == []


def test_outputs_that_no_commit_records_are_said_to_be(clone: Path) -> None:
    restore_all(load_project())
    [run] = all_runs()
    assert run.data.tags["digits.outputs"].startswith("from the run cache, or ")
    assert run.data.tags["digits.training"] == run.data.tags["digits.restored_from"]


def test_committed_outputs_are_of_no_run_cache(clone: Path) -> None:
    record_outputs()
    commit("dvc.lock")
    restore_all(load_project())
    [run] = all_runs()
    assert "digits.outputs" not in run.data.tags


def test_record_that_contradicts_dvc_lock_is_refused(clone: Path) -> None:
    path, code = Path("artifacts/train/mlp/run.json"), Path("code.py")
    record = read_json(path, dict)
    code.touch()
    commit("code.py")
    head = git("rev-parse", "HEAD")
    record["tags"] |= {"git_commit": head, "git_dirty": "false", "dvc_stage": "train@nosuch"}
    path.write_text(json.dumps(record | {"name": "nosuch"}))
    record_outputs()
    lock = json.loads(Path("dvc.lock").read_text())
    seed, split = record["params"]["seed"], record["datasets"]["train"]
    own, foreign = md5(code), "1" * 32
    for locked_seed, epochs, locked_split, locked_code, said in (
        (seed + 1, 2, split, own, f"seed was {seed}, dvc.lock records {seed + 1}"),
        (seed, 3, split, own, "train.mlp.fit.epochs was 2, dvc.lock records 3"),
        (seed, 2, "0" * 32, own, f"dvc.lock records {'0' * 32}"),
        (seed, 2, split, foreign, f"records another code.py than its commit {head[:12]} has"),
    ):
        deps = [{"path": "code.py", "md5": locked_code}]
        deps.append({"path": "artifacts/split/train.npz", "md5": locked_split})
        params = {"params.yaml": {"seed": locked_seed, "train.mlp": {"fit": {"epochs": epochs}}}}
        lock["stages"]["train@mlp"] = {"deps": deps, "params": params}
        Path("dvc.lock").write_text(json.dumps(lock))
        line = finding(IntegrityError, lambda: restore_all(load_project()))
        assert line.startswith("train@mlp: of its recorded training, ")
        assert said in line
        assert line.endswith("; `dvc repro -f train@mlp` trains it here")
    assert all_runs() == []


def test_fresh_store_shows_the_view(clone: Path) -> None:
    restore_all(load_project())
    shown = MlflowClient().get_experiment_by_name(NAME).tags
    assert shown[page.view_tag()] == page.tags()[page.view_tag()]
    assert shown[page.NOTE] == page.about_trainings()


def test_first_start_prints_the_address_only(workspace: Path) -> None:
    write_params({})
    environment = {k: v for k, v in os.environ.items() if k not in process.ENVIRONMENT}
    done = python("-c", "from digits.project import main; main()", "ui", "5000", env=environment)
    assert (done.returncode, done.stderr, done.stdout.count("\n")) == (0, "", 1)


def test_report_links_lead_to_what_was_restored(clone: Path) -> None:
    restore_all(load_project())
    [run] = all_runs()
    address(load_project(), 5055)
    Path("artifacts/report").mkdir()
    text = Path("artifacts/report", run_page(WORKSPACE.trained("mlp").read_run())).read_text()
    assert f':5055/#/experiments/{run.info.experiment_id}/runs/{run.info.run_id}"' in text
