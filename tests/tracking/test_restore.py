"""After `dvc pull` on another machine the store is empty: the runs are logged again."""

import json
import shutil
from functools import partial
from pathlib import Path

import pytest
from helpers import commit, finding, git, only_run, record_outputs
from mlflow import MlflowClient
from support import NAME, write_params

from digits.project import load_project
from imageproof.artifacts import WORKSPACE, run_page
from imageproof.base.errors import DataError, IntegrityError
from imageproof.base.files import md5
from imageproof.cli._ui import address
from imageproof.mlflow import _runs, _store, restore


@pytest.fixture(scope="module")
def original(trained_project):
    """The run as it is known where the model was trained."""
    return only_run(MlflowClient(f"sqlite:///{trained_project}/mlflow.db"))


@pytest.fixture
def clone(tracked, trained_project):
    """The outputs of a training elsewhere, and a store that knows nothing of it."""
    shutil.copytree(trained_project / "artifacts", "artifacts")
    shutil.copy(trained_project / "params.yaml", "params.yaml")
    return tracked


def restore_all():
    """All runs after the command `restore`."""
    restore.restore_all(load_project())
    return all_runs()


def all_runs():
    _store.connect(load_project().name)
    client = MlflowClient()
    return list(client.search_runs([e.experiment_id for e in client.search_experiments()]))


def artifacts(run):
    """The names of its files; those of pictures have a time and a random part."""
    folder = Path(run.info.artifact_uri.removeprefix("file://"))
    return {str(path.relative_to(folder)).split("+")[0] for path in folder.rglob("*.*")}


def digests(run):
    """Those of its data sets, by name."""
    return {data.dataset.name: data.dataset.digest for data in run.inputs.dataset_inputs}


def test_restored_run_equals_original(clone, original):
    record_outputs()
    [run] = restore_all()
    assert (run.info.status, run.info.run_name) == ("FINISHED", original.info.run_name)
    assert run.data.params == original.data.params
    assert run.data.metrics == original.data.metrics
    tags = _runs.own_tags(run.data.tags)
    here = {"restored_from": original.info.run_id, "outputs": restore.UNCOMMITTED}
    here["model_sha256"] = tags["model_sha256"]
    assert tags == _runs.own_tags(original.data.tags) | here
    assert digests(run) == digests(original)
    assert artifacts(run) == artifacts(original)
    address(load_project(), 5055)
    Path("artifacts/report").mkdir()
    text = Path("artifacts/report", run_page(WORKSPACE.trained("mlp").read_run())).read_text()
    assert f':5055/#/experiments/{run.info.experiment_id}/runs/{run.info.run_id}"' in text


def test_known_run_is_left_alone(workspace, trained_project, original, monkeypatch):
    shutil.copytree(trained_project, workspace / "project")
    monkeypatch.chdir(workspace / "project")
    assert [run.info.run_id for run in restore_all()] == [original.info.run_id]


def test_unfinished_run_does_not_count(clone, original):
    experiment = _store.connect(NAME)
    tags = {"digits.restored_from": original.info.run_id}
    MlflowClient().create_run(experiment, tags=tags)
    assert sorted(run.info.status for run in restore_all()) == ["FINISHED", "RUNNING"]


def test_missing_evaluation_is_added_to_its_run(clone):
    shutil.move("artifacts/evaluate", "later")
    [run] = restore_all()
    assert not any(name.startswith("test_") for name in run.data.metrics)
    shutil.move("later", "artifacts/evaluate")
    restore_all()
    [again] = restore_all()
    assert again.info.run_id == run.info.run_id
    assert len(MlflowClient().get_metric_history(run.info.run_id, "behaviour_clean")) == 1
    MlflowClient().delete_tag(run.info.run_id, restore.EVALUATION_SHA256)  # the last to arrive
    restore_all()
    assert len(MlflowClient().get_metric_history(run.info.run_id, "behaviour_clean")) == 2


def test_restored_run_is_found_in_mlflow_run(clone, monkeypatch):
    _store.connect(NAME)
    parent = MlflowClient().create_run(MlflowClient().create_experiment("of the user"))
    monkeypatch.setenv("MLFLOW_RUN_ID", parent.info.run_id)
    restore_all()
    assert len(restore_all()) == 2


def test_second_project_gets_runs_of_its_own(clone):
    restore_all()
    write_params({"project.name": "second"})
    assert len({run.info.experiment_id for run in restore_all()}) == 2


def test_evaluation_of_another_training_is_named_each_time(clone, capsys):
    record_outputs()  # as an interrupted `make run` leaves it
    lock = json.loads(Path("dvc.lock").read_text())
    dep = {"path": "artifacts/train/mlp", "md5": f"{'1' * 32}.dir"}
    lock["stages"]["evaluate@mlp"]["deps"].append(dep)
    Path("dvc.lock").write_text(json.dumps(lock))
    line = "warning: evaluate@mlp: is of another training; `dvc repro evaluate@mlp` makes it anew\n"
    for again in ("mlp: logged again from DVC's outputs\n", "", ""):
        restore.restore_all(load_project())
        assert capsys.readouterr().out == line + again
    [run] = all_runs()
    assert not any(name.startswith("test_") for name in run.data.metrics)


def test_damaged_or_missing_output_leaves_no_run(clone):
    record_outputs()
    for name in ("split/split.json", "train/mlp/model.onnx", "evaluate/mlp/metrics.json"):
        path = Path("artifacts", name)
        content = path.read_bytes()
        path.write_bytes(content + b" ")
        assert finding(IntegrityError, restore_all).startswith(f"{path}: md5 ")
        path.write_bytes(content)
    Path("dvc.lock").unlink()
    path = Path("artifacts/train/mlp/model.onnx")
    path.unlink()
    assert finding(DataError, restore_all).startswith(f"{path}: not found")
    record = WORKSPACE.trained("mlp").run
    record.write_text(record.read_text().replace('"run_id": "', '"run_id": "../'))
    assert finding(DataError, restore_all).startswith(f"{record}: not ")
    assert all_runs() == []


def test_committed_outputs_are_of_no_run_cache(clone):
    record_outputs()
    commit("dvc.lock")
    [run] = restore_all()
    assert "digits.outputs" not in run.data.tags


def test_record_that_contradicts_dvc_lock_is_refused(clone):
    Path("code.py").touch()
    commit("code.py")
    outputs = WORKSPACE.trained("mlp")
    record = outputs.read_run()
    head = git("rev-parse", "HEAD")
    record.tags.update(git_commit=head, git_dirty="false", dvc_stage="train@none")
    outputs.run.write_text(record.model_dump_json())
    record_outputs()
    lock = json.loads(Path("dvc.lock").read_text())
    seed = {"seed": 42}
    fit = {"epochs": 2, "batch_size": 100}
    one = "1" * 32
    for params, path, digest, message in (
        ({"seed": 43}, "data", one, "seed was 42, dvc.lock records 43"),
        ({"train.mlp.fit": fit | {"keep": "best"}}, "data", one, "keep was None, dvc.lock records"),
        ({"train.mlp.fit": {"epochs": 2}}, "data", one, "batch_size was 100, dvc.lock records No"),
        (seed, "artifacts/split/train.npz", "0" * 32, f"dvc.lock records {'0' * 32}"),
        (seed, "code.py", one, f"records another code.py than its commit {head:.12} has"),
        (seed, "ignored.py", one, f"its commit {head:.12} lacks ignored.py; `git add --fo"),
    ):
        deps = {"code.py": md5(Path("code.py")), path: digest}
        entries = [{"path": name, "md5": digest} for name, digest in deps.items()]
        lock["stages"]["train@mlp"] = {"deps": entries, "params": {"params.yaml": params}}
        Path("dvc.lock").write_text(json.dumps(lock))
        line = finding(IntegrityError, restore_all)
        assert line.startswith("train@mlp: its recorded training contradicts dvc.lock: ")
        assert message in line
    assert line.endswith("; `dvc repro -f train@mlp` trains it here")
    assert all_runs() == []
    restored = {"model": "mlp", _runs.TRAINING: record.run_id}  # elsewhere
    check = partial(restore.check_training, "0" * 32, root=Path())
    assert finding(IntegrityError, check, restored) == line
    check({"model": "mlp"})  # of another training
