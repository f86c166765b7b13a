"""The `sweep` flow on a real Dask cluster, whose workers have clones of their own."""

import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import optuna
import pytest
from mlflow import MlflowClient
from services import dask
from small_project import run
from support import SMALL, write_params, write_project

from digits.params import Params
from imageproof.base.dataset import Dataset
from imageproof.mlflow import store
from sweep import sweep

pytestmark = pytest.mark.slow

PIPELINE = """\
stages:
  split:
    cmd: "true"
    outs:
      - artifacts/split/train.npz
      - artifacts/split/validation.npz
"""


@pytest.fixture
def sweep_project(
    workspace: Path,
    prefect_server: str,
    digits_8x8: Dataset,
    small_params: Params,
    monkeypatch: pytest.MonkeyPatch,
) -> Path:
    """A DVC project with real digits and a remote, its splits made and committed."""
    root = workspace / "project"
    root.mkdir()
    monkeypatch.chdir(root)
    write_project(digits_8x8, small_params)
    write_params({**SMALL, "train.threads": 1, "train.mlp.fit.epochs": 1})
    (root / "dvc.lock").unlink()
    (root / "dvc.yaml").write_text(PIPELINE)
    (root / "space.yaml").write_text("optimizer.learning_rate: {low: 1e-4, high: 0.1, log: true}\n")
    run("git", "init", "-q", cwd=root)
    for command in ("init", f"remote add far {workspace / 'remote'}", "commit -f split"):
        run(sys.executable, "-m", "dvc", *command.split(), "-q", cwd=root)
    for command in ("config user.name t", "config user.email t@t", "add .", "commit -qm x"):
        run("git", *command.split(), cwd=root)
    return root


@pytest.fixture
def scheduler(workspace: Path, sweep_project: Path) -> Iterator[str]:
    """The address of a Dask scheduler with two workers, each in a clone."""
    folders = [workspace / "worker-0", workspace / "worker-1"]
    for folder in folders:
        run("git", "clone", "-q", str(sweep_project), str(folder), cwd=workspace)
    with dask(workspace / "scheduler", folders) as address:
        yield address


@pytest.mark.timeout(1800)  # six trainings, each in a process of its own
def test_sweep_on_dask_workers_with_clones(workspace: Path, scheduler: str) -> None:
    arguments: dict[str, Any] = {"scheduler": scheduler, "remote": "far", "trials": 2, "seeds": 2}
    state = sweep("mlp", "space.yaml", **arguments, return_state=True)
    assert state.is_completed(), state.message
    assert "standard errors over 2 seeds" in str(state.message)
    assert "dvc exp run -S train.mlp.optimizer.learning_rate=" in str(state.message)
    study = optuna.load_study(study_name="digits/mlp", storage="sqlite:///.state/sweeps.db")
    assert [trial.state.name for trial in study.trials] == ["COMPLETE"] * 2
    for worker in ("worker-0", "worker-1"):
        assert (workspace / worker / "artifacts/split/train.npz").exists()
    runs = MlflowClient().search_runs([store.connect("digits-sweeps")])
    names = {run.info.run_name for run in runs}
    compared = {f"{name}, seed {n}" for name in ("best", "default") for n in (43, 44)}
    assert names == {"digits/mlp", "trial 0", "trial 1", *compared}
    assert Counter(run.info.status for run in runs) == {"FINISHED": 7}
    [parent] = [run.info.run_id for run in runs if run.info.run_name == "digits/mlp"]
    parents = Counter(run.data.tags.get("mlflow.parentRunId") for run in runs)
    assert parents == {parent: 6, None: 1}


@pytest.mark.usefixtures("sweep_project")
def test_sweep_refuses(no_scheduler: str) -> None:
    refused: dict[str, dict[str, Any]] = {
        f"scheduler: no Dask scheduler at {no_scheduler}": {"scheduler": no_scheduler},
        "'gnn' has no block train.gnn": {"model": "gnn"},
        "none.yaml: No such file": {"space": "none.yaml"},
        "Optuna storage of digits/mlp: ": {"storage": "sqlite:////nowhere/at/all.db"},
    }
    for message, parameters in refused.items():
        state = sweep(**{"model": "mlp", "space": "space.yaml", **parameters}, return_state=True)
        assert state.is_failed()
        assert message in str(state.message)
        assert len(str(state.message).splitlines()) == 1
