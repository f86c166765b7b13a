"""The `sweep` flow: Optuna's study on SQLite, trainings as trials, here and on a Dask cluster."""

import shlex
import shutil
import sys
from collections import Counter
from contextlib import chdir
from pathlib import Path

import optuna
import pytest
from deployed import failure
from helpers import until
from mlflow import MlflowClient
from prefect import flow
from services import dask, running
from small_project import run
from support import PARAMS, REPOSITORY, SMALL, write_params, write_project

import sweep as module
from imageproof.base.errors import IntegrityError
from imageproof.base.files import read_yaml
from imageproof.dvc.params_yaml import get_by_path, read
from imageproof.mlflow import _store
from imageproof.prefect import trials
from imageproof.prefect._stages import run_script
from sweep import sweep

PIPELINE = """\
stages:
  split:
    cmd: "true"
    outs:
      - artifacts/split/train.npz
      - artifacts/split/validation.npz
  train:
    matrix:
      model: [mlp]
    cmd: "true"
    deps:
      - artifacts/split/train.npz
      - artifacts/split/validation.npz
      - flows/sweep.py
"""
SPACE = """\
optimizer.learning_rate: {low: 1e-4, high: 0.1, log: true}
fit.class_weights: [{3: 2.0}]
"""


@pytest.fixture(scope="module")
def committed(tmp_path_factory, images_8x8):
    """A DVC project with real digits, its splits made and committed, and its remote beside it."""
    folder = tmp_path_factory.mktemp("sweep")
    root = folder / "project"
    shutil.copytree(REPOSITORY / "flows", root / "flows")
    with chdir(root):
        write_project(images_8x8)
        write_params({**SMALL, "models": ["cnn"], "train.mlp.fit.epochs": 1})
    (root / "dvc.lock").unlink()
    (root / "dvc.yaml").write_text(PIPELINE)
    (root / "space.yaml").write_text(SPACE)
    run("git", "init", "-q", cwd=root)
    for command in ("init", "remote add -d far ../remote", "commit -f split", "push"):
        run(sys.executable, "-m", "dvc", *command.split(), "-q", cwd=root)
    for command in ("config user.name t", "config user.email t@t", "add .", "commit -qm x"):
        run("git", *command.split(), cwd=root)
    return folder


@pytest.fixture
def sweep_project(committed, workspace, prefect_server, monkeypatch):
    """A copy of it, which is the current folder."""
    shutil.copytree(committed, workspace, dirs_exist_ok=True)
    monkeypatch.chdir("project")
    monkeypatch.setenv("PREFECT_API_URL", prefect_server)  # for its programs
    return workspace / "project"


@pytest.fixture
def scheduler(workspace, sweep_project):
    """The address of a Dask scheduler with a worker in a clone that has the splits."""
    run("git", "clone", "-q", str(sweep_project), "worker", cwd=workspace)
    run(sys.executable, "-m", "dvc", "pull", "-q", cwd=workspace / "worker")
    with dask(workspace / "scheduler", workspace / "worker") as address:
        yield address


def swept(**options):
    """What a sweep with one trial says."""
    state = sweep("mlp", "space.yaml", trials=1, return_state=True, **options)
    assert state.is_completed(), state.message
    return str(state.message)


def trial_states():
    """How many trials of the study in the project's own storage are in which state."""
    study = optuna.load_study(study_name=None, storage="sqlite:///.state/sweeps.db")
    return Counter(trial.state.name for trial in study.trials)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_sweep_on_a_dask_worker_in_a_clone(scheduler):
    swept(scheduler=scheduler)
    assert trial_states() == {"COMPLETE": 1}
    runs = MlflowClient().search_runs([_store.connect("digits-sweeps")])
    [child, parent] = sorted(runs, key=lambda run: run.info.run_name == "trial 0", reverse=True)
    assert parent.info.run_name.startswith("digits/mlp-")
    assert child.data.tags["mlflow.parentRunId"] == parent.info.run_id
    assert [run.info.status for run in runs] == ["FINISHED"] * 2
    assert not any(key.startswith("test") for key in child.data.metrics)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_killed_sweep_goes_on_unless_code_changed(sweep_project):
    command = (sys.executable, "flows/sweep.py", "mlp", "space.yaml", "9")
    with running(*command, cwd=sweep_project) as killed:
        log = sweep_project.with_suffix(".log")
        assert until(lambda: "Trial 0 finished" in log.read_text(), seconds=300)
        assert until(lambda: trial_states()["RUNNING"] > 0, seconds=60)
        started = killed.children(recursive=True)
        killed.kill()
        assert until(lambda: not any(process.is_running() for process in started), seconds=60)
    states = trial_states()
    assert states.keys() <= {"COMPLETE", "FAIL"}
    message = swept()
    assert states < trial_states()
    run(sys.executable, "-m", *shlex.split(message.splitlines()[-1]), cwd=sweep_project)
    assert get_by_path(read(), "train.mlp.fit.class_weights") == {3: 2.0}
    assert read()["models"] == ["mlp"]  # which were others
    with Path("flows/sweep.py").open("a") as code:
        code.write("# another recipe\n")
    swept()
    studies = optuna.get_all_study_summaries("sqlite:///.state/sweeps.db")
    assert [study.n_trials for study in studies] == [states.total() + 1, 1]


@pytest.mark.usefixtures("workspace")
def test_code_that_changes_stops_a_sweep():
    write_params(SMALL)
    Path("dvc.yaml").write_text("stages: {train: {cmd: x, deps: [code.py, data.npz]}}")
    Path("code.py").write_text("x = 1\n")
    digests = trials.hash_inputs("mlp")
    trials.check_inputs("mlp", digests)
    Path("code.py").write_text("x = 2\n")
    Path("data.npz").touch()
    with pytest.raises(IntegrityError, match=r"code\.py, data\.npz: not as in the sweep"):
        trials.check_inputs("mlp", digests)


@pytest.mark.usefixtures("prefect_server", "workspace")
def test_failed_trials_are_counted():
    end = "sys.exit('error: again' if Path('x').exists() else Path('x').touch())"
    Path("once.py").write_text(f"import sys\nfrom pathlib import Path\n{end}\n")

    @flow
    def work():
        return run_script("once.py", {}, times=3, scheduler="", at_once=1)

    assert work() == "once.py: 2 of 3 failed, the last one: again\n"


def test_values_are_those_that_a_trial_proposes():
    space = {
        "optimizer.learning_rate": {"low": 1e-4, "high": 0.1, "log": True},
        "fit.batch_size": {"low": 32, "high": 128, "step": 32},
        "fit.class_weights": [None, "balanced"],
    }
    values = {"optimizer.learning_rate": 0.05, "fit.batch_size": 96, "fit.class_weights": "null"}
    settings = {"model": "mlp", "params": PARAMS, "space": space}
    recipe = module._params(optuna.trial.FixedTrial(values), settings).recipe("mlp")
    figures = (recipe.optimizer.learning_rate, recipe.fit.batch_size, recipe.fit.class_weights)
    assert figures == (0.05, 96, None)


@pytest.mark.usefixtures("workspace", "prefect_server")
@pytest.mark.parametrize(
    ("text", "options", "line"),
    [
        ("", {}, "space: 'NoneType' object has no attribute 'items'; a key"),
        ("fit.epochs: {low: 1}", {}, "fit.epochs: Trial.suggest_int() missing 1 required"),
        ("", {"space": "nix.yaml"}, "[Errno 2] No such file or directory: 'nix.yaml'"),
        ("", {"model": "mpl"}, "params.yaml models: 'mpl' has no block train.mpl"),
        (SPACE, {"storage": "sqlite:///space.yaml"}, "storage: (sqlite3.DatabaseError) file is"),
    ],
)
def test_wrong_parameter_is_one_line(text, options, line):
    write_params(SMALL)
    Path("space.yaml").write_text(text)
    parameters = {"model": "mlp", "space": "space.yaml", **options}
    assert failure(sweep, **parameters).startswith(line)


@pytest.mark.parametrize("model", ["compact", "cnn"])
def test_spaces_of_repository(model):
    space = read_yaml(REPOSITORY / "spaces" / f"{model}.yaml")
    settings = {"model": model, "params": PARAMS, "space": space}
    assert module._params(optuna.create_study().ask(), settings)
