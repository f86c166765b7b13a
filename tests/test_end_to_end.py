"""The real pipeline on real MNIST, small: 2 % of the data, one epoch, in a clone of its own."""

import json

import mlflow
import pytest
from clones import Clone
from helpers import clone_without_history
from support import PARAMS, REPOSITORY

from imageproof.artifacts import WORKSPACE

MODELS = ("mlp", "cnn")
METRICS = "artifacts/compare/metrics.json"


@pytest.fixture(scope="module")
def published(tmp_path_factory):
    """A clone in which nothing ran, until a test asks for `clone`."""
    root = tmp_path_factory.mktemp("end_to_end") / "digits"
    clone_without_history(REPOSITORY, root)
    return Clone(root)


@pytest.fixture(scope="module")
def clone(published):
    """The clone, after the whole pipeline ran once in it."""
    published.run("dvc", "pull", "data.dvc", "backbones/efficientnet-lite0.onnx.dvc")
    path = published.root / "params.yaml"
    text = path.read_text("utf-8")
    for old, new in (
        ("percent: 100", "percent: 2"),
        (f"models: [{', '.join(PARAMS['models'])}]", f"models: [{', '.join(MODELS)}]"),
        *((f"epochs: {epochs}", "epochs: 1") for epochs in (30, 12)),
    ):
        assert old in text
        text = text.replace(old, new)
    path.write_text(text, "utf-8")
    published.run("git", "commit", "--quiet", "--all", "--message", "small")
    published.lines = published.run("digits", "run").stdout.splitlines()
    return published


def test_fresh_clone_shows_metrics_and_plots(published):
    metrics = json.loads(published.run("dvc", "metrics", "show", "--json").stdout)[""]["data"]
    assert {str(WORKSPACE.evaluated(model).metrics) for model in PARAMS["models"]} < set(metrics)
    plots = json.loads(published.run("dvc", "plots", "show", "--json").stdout)["data"]
    assert [entry["type"] for [entry] in plots.values()].count("vega") == 2


def test_run_runs_every_stage(clone):
    stages = ["pack", "validate", "explore", "split", "baseline", "compare", "report"]
    stages += [f"{stage}@{model}" for stage in ("train", "evaluate") for model in MODELS]
    started = [line.removesuffix(": starts") for line in clone.lines if line.endswith(": starts")]
    assert sorted(started) == sorted(stages)
    assert json.loads(clone.run("dvc", "status", "--json").stdout) == {}
    paths = clone.run("git", "status", "--porcelain").stdout.split()[1::2]
    assert set(paths) == {
        "dvc.lock",
        "artifacts/compare/learning_curves.csv",
        METRICS,
        "artifacts/split/split.json",
    }
    results = clone.run("digits", "results").stdout.splitlines()
    assert results == clone.lines[-len(results) :]
    assert "550,346" in "".join(results)
    commit = clone.run("git", "rev-parse", "HEAD").stdout.strip()
    client = mlflow.MlflowClient(f"sqlite:///{clone.root}/mlflow.db")
    runs = client.search_runs([client.get_experiment_by_name("digits").experiment_id])
    tag = "mlflow.source.git.commit"
    ends = {(run.info.run_name, run.info.status, run.data.tags[tag]) for run in runs}
    assert ends == {(model, "FINISHED", commit) for model in MODELS}
