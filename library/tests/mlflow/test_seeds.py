"""`imageproof summary`: runs that differ in nothing but the seed, from a real MLflow store."""

import json

import mlflow
import pytest
from example import context
from helpers import active_run, finding
from mlflow import MlflowClient

from imageproof.base.errors import DataError
from imageproof.cli._results import summary
from imageproof.judge._seeds import MEASURES, groups
from imageproof.mlflow._runs import Logged

PARAMS = {"model": "mlp", "fit.epochs": "2", "data_md5": "d1"}
TAGS = {"git_commit": "a" * 40, "cpu": "one", "lock_md5": "l1"}
ROWS = {"train_rows": 960.0, "validation_rows": 120.0, "test_rows": 200.0, "holdout_rows": 120.0}


def run(seed, accuracy=0.9, params=(), metrics=(), tags=()):
    """An evaluated run."""
    drawn = {"seed": str(seed), "split_md5": f"split of seed {seed}"} | dict(params)
    scores = dict.fromkeys(MEASURES, accuracy) | {"elapsed_s": 10.0 + seed} | dict(metrics)
    return Logged(PARAMS | drawn, ROWS | scores, TAGS | dict(tags))


def log(run, status="FINISHED"):
    """Log it as the stages do."""
    with active_run("mlp", params=run.params, tags=run.tags) as active:
        mlflow.log_metrics(run.metrics)
    MlflowClient().update_run(active.info.run_id, status)


def test_group_holds_runs_that_differ_in_the_seed():
    newest = run(10, 1.0)  # of a seed it counts
    [group] = groups([newest, run(10, 0.3), run(2, 0.9), run(1, 0.8)])
    assert (group.label, group.seeds) == ("mlp", ["1", "2", "10"])
    # t(0.975, 2) = 4.303 in every table; 4.303 * 0.1 / sqrt(3) = 0.2484
    spread = (3, 0.9, 0.1, 0.8, 0.6516, 1.1484)
    assert group.measures["test_accuracy"] == pytest.approx(spread, abs=1e-4)


def test_time_on_shared_cores_is_left_out():
    [group] = groups([run(1, metrics={"shared_cores": 0.9}), run(2)])
    assert group.measures["elapsed_s"] == (1, 12, None, 12, None, None)


@pytest.mark.parametrize(
    ("apart", "label"),
    [
        ({"params": {"fit.epochs": "3"}}, "mlp fit.epochs=3"),
        ({"tags": {"cpu": "another"}}, "mlp cpu=another"),
        ({"metrics": {"train_rows": 480.0}}, "mlp train_rows=480"),
    ],
)
def test_other_recipe_is_another_group(apart, label):
    seeds = {group.label: group.seeds for group in groups([run(1), run(2), run(3, **apart)])}
    assert seeds.pop(label) == ["3"]
    assert [*seeds.values()] == [["1", "2"]]


def test_summary_prints_a_table_and_json(tracked, capsys):
    for seed, accuracy in ((1, 0.8), (2, 0.9), (3, 1.0)):
        log(run(seed, accuracy))
    log(run(4, 0.1), "KILLED")
    summary(context())
    table = capsys.readouterr().out
    assert table.startswith("mlp: runs that differ in the seed only (1, 2, 3)\n")
    assert "0.6516 to 1.1484" in table
    summary(context(), as_json=True, last=1)
    [group] = json.loads(capsys.readouterr().out)
    assert group["recipe"].items() >= PARAMS.items()
    assert group["measures"]["test_accuracy"]["n"] == 1


def test_summary_without_a_run_is_one_line(tracked):
    line = finding(DataError, summary, context())
    assert line.startswith("MLflow: no finished run with an evaluation yet; `dvc repro` makes them")
