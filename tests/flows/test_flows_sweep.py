"""The `sweep` flow on a real Dask cluster, whose workers have folders of their own."""

import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import optuna
import psutil
import pytest
from distributed import Client
from mlflow import MlflowClient
from mlflow.entities import RunInfo
from services import Cluster, answers, free_port, killed_in_a_trial, running
from small_project import run
from support import SMALL, until, write_params

from flows.sweep import sweep

pytestmark = [pytest.mark.slow]

# Each is a process that imports TensorFlow; two for each worker.
TRIALS = 4

SPLIT = """\
import numpy as np
from sklearn.datasets import load_digits
from digits import params
from digits.core.dataset import Dataset, RawData, save_split
from digits.core.artifacts import split_path
from digits.data.splitting import split

loaded = params.load()
images, labels = load_digits(return_X_y=True)
data = Dataset(images.reshape(-1, 8, 8).astype(np.uint8), labels.astype(np.int64))
parts = split(RawData(data, None), percent=100, params=loaded.split, seed=loaded.seed)
split_path("train").parent.mkdir(parents=True, exist_ok=True)
for name, part in parts.items():
    save_split(split_path(name), part)
"""
PIPELINE = """\
stages:
  split:
    cmd: python make_split.py
    outs:
      - artifacts/split/train.npz
      - artifacts/split/validation.npz
      - artifacts/split/test.npz
      - artifacts/split/holdout.npz
"""


@pytest.fixture
def sweep_project(workspace: Path, prefect_server: str, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A DVC project with real digits and a remote."""
    root = workspace / "project"
    root.mkdir()
    monkeypatch.chdir(root)
    write_params({**SMALL, "train.threads": 1, "train.mlp.fit.epochs": 1})
    (root / "make_split.py").write_text(SPLIT)
    (root / "dvc.yaml").write_text(PIPELINE)
    (root / "space.yaml").write_text("optimizer.learning_rate: {low: 1e-4, high: 0.1, log: true}\n")
    run("git", "init", "-q", cwd=root)
    dvc = (sys.executable, "-m", "dvc")
    run(*dvc, "init", "-q", cwd=root)
    run(*dvc, "remote", "add", "-q", "far", str(workspace / "remote"), cwd=root)
    for command in ("config user.name t", "config user.email t@t", "add .", "commit -qm x"):
        run("git", *command.split(), cwd=root)
    run("git", "remote", "add", "origin", str(root), cwd=root)
    return root


@pytest.fixture
def tracking_server(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The address of an MLflow server, which the flow and the workers use."""
    port = free_port()
    address = f"http://127.0.0.1:{port}"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", address)
    server = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port)]
    server += ["--workers", "1", "--backend-store-uri", f"sqlite:///{workspace}/server.db"]
    with running(*server, cwd=workspace / "mlflow"):
        assert until(lambda: answers(port), seconds=120)
        yield address


@pytest.fixture
def cluster(workspace: Path, tracking_server: str) -> Iterator[Cluster]:
    """Two workers."""
    dask = Path(sys.executable).with_name("dask")
    port = free_port()
    address = f"tcp://127.0.0.1:{port}"
    with ExitStack() as stack:

        def start(name: str, *arguments: str) -> psutil.Popen:
            command = (dask, *arguments, "--host", "127.0.0.1", "--no-dashboard")
            return stack.enter_context(running(*command, cwd=workspace / name))

        scheduler = start("scheduler", "scheduler", "--port", str(port))
        assert until(lambda: answers(port), seconds=120)
        names = ("worker-0", "worker-1")
        workers = [start(name, "worker", address, "--no-nanny") for name in names]
        with Client(address, set_as_default=False) as client:
            client.wait_for_workers(len(workers), timeout=120)
        yield Cluster(address, scheduler, workers)
        for worker in workers:
            worker.kill()  # asked to end, one whose scheduler is gone waits for it


def runs(address: str) -> list[RunInfo]:
    """The MLflow runs of all sweeps."""
    client = MlflowClient(address)
    found = [e.experiment_id for e in client.search_experiments() if e.name == "digits-sweeps"]
    return [run.info for run in client.search_runs(found)]


def statuses(address: str) -> list[str]:
    """Of the MLflow runs of all sweeps."""
    return [run.status for run in runs(address)]


def test_trials_on_two_workers_of_which_one_is_killed_all_give_results(
    sweep_project: Path, workspace: Path, tracking_server: str, cluster: Cluster
) -> None:
    def midway() -> bool:
        return statuses(tracking_server).count("FINISHED") >= TRIALS // 2 - 1

    with killed_in_a_trial(cluster.workers[1], cluster.workers[1], after=midway):
        state = sweep(
            "mlp",
            "space.yaml",
            trials=TRIALS,
            scheduler=cluster.address,
            remote="far",
            return_state=True,
        )
    assert state.is_completed(), state.message
    assert "dvc exp run -S train.mlp.optimizer.learning_rate=" in str(state.message)
    assert "standard errors over 3 seeds" in str(state.message)
    study = optuna.load_study(study_name="digits/mlp", storage="sqlite:///.state/sweeps.db")
    done = {optuna.trial.TrialState.COMPLETE, optuna.trial.TrialState.PRUNED}
    assert len(study.trials) == TRIALS
    assert {trial.state for trial in study.trials} <= done
    for worker in ("worker-0", "worker-1"):
        assert any((workspace / worker / ".state/splits").iterdir())
    assert "RUNNING" not in statuses(tracking_server)
    finished = Counter(run.run_name for run in runs(tracking_server) if run.status == "FINISHED")
    assert len(finished) == 1 + TRIALS + 6
    # one ran twice where it had ended when its worker was killed, and nobody had been told yet
    assert finished.total() - len(finished) in (0, 1)


def test_a_scheduler_that_goes_away_is_told_in_one_line(
    sweep_project: Path, tracking_server: str, cluster: Cluster
) -> None:
    with killed_in_a_trial(cluster.scheduler, cluster.workers[0]):
        state = sweep(
            "mlp", "space.yaml", scheduler=cluster.address, remote="far", return_state=True
        )
    assert state.is_failed()
    assert state.message == f"scheduler: {cluster.address} is gone"
    assert until(lambda: "RUNNING" not in statuses(tracking_server), seconds=60)


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"scheduler": "tcp://127.0.0.1:9"}, "scheduler: no Dask scheduler at tcp://127.0.0.1:9"),
        ({"model": "gnn"}, "'gnn' has no block train.gnn"),
        ({"space": "none.yaml"}, "none.yaml: No such file"),
        ({"remote": "near"}, "remote: 'near' is not one of far"),
        ({"storage": "sqlite:////nowhere/at/all.db"}, "Optuna storage of digits/mlp: "),
    ],
)
def test_what_can_be_known_before_any_trial_is_told_in_one_line(
    sweep_project: Path, parameters: dict[str, Any], message: str
) -> None:
    arguments = {"model": "mlp", "space": "space.yaml", **parameters}
    state = sweep(**arguments, return_state=True)
    assert state.is_failed()
    assert message in str(state.message)
    assert len(str(state.message).splitlines()) == 1
    assert not Path("artifacts").exists()


def test_a_tracking_server_that_does_not_answer_is_told_before_any_trial(
    sweep_project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    state = sweep("mlp", "space.yaml", return_state=True)
    assert str(state.message).startswith("MLflow at http://127.0.0.1:9: no answer")
    assert len(str(state.message).splitlines()) == 1
    assert not Path("artifacts").exists()
