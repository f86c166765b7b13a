"""`imageproof summary`: runs that differ in nothing but the seed, from a real MLflow store."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import mlflow
import pytest
from example import NAME, context
from mlflow import MlflowClient

from imageproof.base.errors import DataError
from imageproof.cli.console import print_summary
from imageproof.cli.results import summary
from imageproof.judge.seeds import MEASURES, groups, spread
from imageproof.mlflow import runs
from imageproof.mlflow.runs import evaluated_runs

PARAMS = {"model": "mlp", "fit.epochs": 2, "data_md5": "d1"}
TAGS = {"git_commit": "a" * 40, "cpu": "one", "lock_md5": "l1"}
ROWS = {"train_rows": 960.0, "validation_rows": 120.0, "test_rows": 200.0, "holdout_rows": 120.0}

Log = Callable[..., str]


@pytest.fixture
def log(tracked: Path) -> Log:
    """Log one finished and evaluated run, as the stages do."""

    def logged(
        seed: int,
        accuracy: float = 0.9,
        *,
        params: dict[str, Any] | None = None,
        tags: dict[str, str] | None = None,
        metrics: dict[str, float] | None = None,
    ) -> str:
        drawn = {"seed": seed, "split_md5": f"split of seed {seed}"}
        scores = dict.fromkeys(MEASURES, accuracy) | {"elapsed_s": 10 + seed}
        every = PARAMS | drawn | (params or {})
        with runs.active_run(
            "mlp", experiment=NAME, view=True, params=every, tags=TAGS | (tags or {})
        ) as active:
            mlflow.log_metrics(scores | ROWS | (metrics or {}))
        return str(active.info.run_id)

    return logged


def measured(measure: str = "test_accuracy") -> list[tuple[int, float | None]]:
    """Number of runs and mean of each group."""
    found = [group.measures[measure] for group in groups(evaluated_runs(NAME, 100))]
    return [(one.n, one.mean and round(one.mean, 6)) for one in found]


def test_spread_is_that_of_a_textbook() -> None:
    # t(0.975, 2) = 4.303 in every table; 4.303 * 1 / sqrt(3) = 2.484
    assert spread([1.0, 2.0, 3.0]) == pytest.approx((3, 2, 1, 1, -0.4841, 4.4841), abs=1e-4)
    assert spread([0.5]) == (1, 0.5, None, 0.5, None, None)


def test_group_holds_runs_that_differ_in_the_seed(log: Log) -> None:
    for seed, accuracy in ((1, 0.8), (2, 0.9), (10, 0.3)):
        log(seed, accuracy)
    log(10, 1.0, tags={"git_commit": "b" * 40})  # the newest of a seed counts
    [group] = groups(evaluated_runs(NAME, 100))
    assert (group.label, group.seeds) == ("mlp", ["1", "2", "10"])
    assert group.commits == ["b" * 40, "a" * 40]
    assert group.measures["test_accuracy"] == pytest.approx(spread([0.8, 0.9, 1.0]))
    assert group.measures["elapsed_s"] == pytest.approx(spread([11, 12, 20]))


def test_time_on_shared_cores_is_left_out(log: Log, capsys: pytest.CaptureFixture[str]) -> None:
    log(1, metrics={"shared_cores": 0.9})
    assert measured("elapsed_s") == [(0, None)]
    print_summary(groups(evaluated_runs(NAME, 100)), as_json=False)
    assert "trained on shared cores" in capsys.readouterr().out
    log(2)
    assert measured("elapsed_s") == [(1, 12)]
    assert measured("test_accuracy") == [(2, 0.9)]


@pytest.mark.parametrize(
    ("apart", "label"),
    [
        ({"params": {"fit.epochs": 3}}, "fit.epochs"),
        ({"metrics": {"train_rows": 480.0}}, "train_rows"),
        ({"tags": {"cpu": "another"}}, "cpu"),
    ],
)
def test_other_recipe_is_another_group(log: Log, apart: dict[str, Any], label: str) -> None:
    log(1, 0.8)
    log(2, 0.9)
    log(3, 0.4, **apart)
    assert sorted(measured()) == [(1, 0.4), (2, 0.85)]
    assert any(f"{label}=" in group.label for group in groups(evaluated_runs(NAME, 100)))


def test_unfinished_runs_do_not_count_and_restored_ones_once(log: Log) -> None:
    for seed, status in enumerate(("RUNNING", "FAILED", "KILLED"), start=2):
        unfinished = log(seed, 0.1)  # connects to the store
        MlflowClient().update_run(unfinished, status=status)
    log(5, 0.8, tags={"restored_from": "0" * 32})
    assert measured() == [(1, 0.8)]
    log(1, 0.6, tags={"restored_from": log(1, 0.6)})
    assert measured() == [(2, 0.7)]


def test_summary_prints_a_table_and_json(log: Log, capsys: pytest.CaptureFixture[str]) -> None:
    for seed, accuracy in ((1, 0.8), (2, 0.9), (3, 1.0)):
        log(seed, accuracy)
    summary(context())
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "mlp: runs that differ in the seed only (1, 2, 3)"
    [line] = [line for line in lines if "test_accuracy" in line]
    cells = [cell.strip() for cell in line.split("│")[1:-1]]
    assert cells == ["test_accuracy", "3", "0.9000", "0.1000", "0.8000", "0.6516 to 1.1484"]
    summary(context(), as_json=True, last=1)
    [group] = json.loads(capsys.readouterr().out)
    assert group["recipe"]["fit.epochs"] == "2"
    assert "seed" not in group["recipe"]
    accuracy = group["measures"]["test_accuracy"]
    assert (accuracy["n"], accuracy["mean"], accuracy["sd"]) == (1, 1.0, None)


def test_summary_without_a_run_is_one_line(tracked: Path) -> None:
    with pytest.raises(DataError, match=r"no finished run .*`dvc repro` makes them") as caught:
        summary(context())
    assert len(caught.value.findings) == 1
    assert not Path("artifacts").exists()
