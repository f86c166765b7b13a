"""The real pipeline on real MNIST, small: 2 % of the data, one epoch, in a clone of its own."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from support import AUTHOR, PARAMS, REPOSITORY, clone_without_history

from imageproof.artifacts import WORKSPACE
from imageproof.base.files import md5
from imageproof.dvc.provenance import recorded_outputs
from imageproof.system.process import own_code

MODELS = ("mlp", "cnn")
METRICS = "artifacts/compare/metrics.json"


class Clone:
    """A fresh clone in a folder of its own, and commands run in it as a user types them."""

    def __init__(self, root: Path, *, of: Path | None = None) -> None:
        self.root = root
        if of is None:
            clone_without_history(REPOSITORY, root)
        else:
            subprocess.run(["git", "clone", "--quiet", of, root], check=True)

    def run(
        self, *command: str, succeeds: bool = True, **variables: str
    ) -> subprocess.CompletedProcess[str]:
        # compiled modules are written beside the sources, as on a user's machine
        unwanted = ("MLFLOW_", "DVC_", "PYTHONDONTWRITEBYTECODE")
        environment = {
            **{k: v for k, v in os.environ.items() if not k.startswith(unwanted)},
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "PYTHONPATH": own_code(self.root),
            **AUTHOR,
            **variables,
        }
        done = subprocess.run(
            command, cwd=self.root, env=environment, capture_output=True, text=True, check=False
        )
        assert (done.returncode == 0) == succeeds, done.stdout + done.stderr
        return done

    def runs(self, database: str = "mlflow.db") -> list:
        import mlflow

        client = mlflow.MlflowClient(f"sqlite:///{self.root}/{database}")
        experiment = client.get_experiment_by_name("digits")
        return client.search_runs([experiment.experiment_id])

    def set_params(self, *replacements: tuple[str, str]) -> None:
        path = self.root / "params.yaml"
        text = path.read_text("utf-8")
        for old, new in replacements:
            assert old in text
            text = text.replace(old, new)
        path.write_text(text, "utf-8")


def ran(done: subprocess.CompletedProcess[str]) -> list[str]:
    """The stages whose commands ran, in order."""
    lines = done.stdout.splitlines()
    return [line.split("'")[1] for line in lines if line.startswith("Running stage")]


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Clone:
    """A clone in which the whole pipeline ran once."""
    fresh = Clone(tmp_path_factory.mktemp("end_to_end") / "digits")
    fresh.run("dvc", "pull", "data.dvc", "backbones/efficientnet-lite0.onnx.dvc")
    fresh.set_params(
        ("percent: 100", "percent: 2"),
        (f"models: [{', '.join(PARAMS['models'])}]", f"models: [{', '.join(MODELS)}]"),
        *((f"epochs: {epochs}", "epochs: 1") for epochs in (30, 12)),
    )
    fresh.run("git", "commit", "--quiet", "--all", "--message", "small")
    fresh.first = fresh.run("digits", "run")
    return fresh


@pytest.fixture(scope="module")
def longer(clone: Clone) -> subprocess.CompletedProcess[str]:
    """The experiment `longer`, which trains the CNN for two epochs."""
    override = "train.cnn.fit.epochs=2"
    return clone.run("dvc", "exp", "run", "--temp", "--name", "longer", "-S", override)


def test_fresh_clone_shows_metrics_and_plots(tmp_path: Path) -> None:
    fresh = Clone(tmp_path / "digits")
    shown = json.loads(fresh.run("dvc", "metrics", "show", "--json").stdout)[""]["data"]
    assert {*shown[METRICS]["data"]} == {*PARAMS["models"], "baseline"}
    assert {str(WORKSPACE.evaluated(model).metrics) for model in PARAMS["models"]} < set(shown)
    plots = json.loads(fresh.run("dvc", "plots", "show", "--json").stdout)["data"]
    drawn = {name: entry["content"] for name, [entry] in plots.items() if entry["type"] == "vega"}
    assert len(drawn) == 3
    for content in drawn.values():
        assert {row["model"] for row in content["data"]["values"]} == set(PARAMS["models"])


@pytest.mark.slow
def test_gto_tag_names_model(tmp_path: Path) -> None:
    fresh = Clone(tmp_path / "digits")
    fresh.run("gto", "register", "mlp")  # comes with DVC; DVC overlooks tags without a message
    fresh.run("dvc", "artifacts", "get", ".", "mlp", "--out", "here.keras")
    recorded = recorded_outputs(fresh.root)[WORKSPACE.trained("mlp").model]
    assert md5(fresh.root / "here.keras") == recorded


def test_run_runs_every_stage(clone: Clone) -> None:
    expected = ["pack", "validate", "explore", "split", "baseline", "compare", "report"]
    expected += [f"{stage}@{model}" for stage in ("train", "evaluate") for model in MODELS]
    lines = clone.first.stdout.splitlines()
    started = [line.removesuffix(": starts") for line in lines if line.endswith(": starts")]
    assert sorted(started) == sorted(expected)


def test_repro_runs_nothing_unchanged(clone: Clone) -> None:
    assert ran(clone.run("dvc", "repro")) == []


def test_run_changes_only_lock_and_git_outputs(clone: Clone) -> None:
    changed = clone.run("git", "status", "--porcelain").stdout.split()[1::2]
    assert set(changed) == {
        "dvc.lock",
        "artifacts/compare/confusion.csv",
        "artifacts/compare/learning_curves.csv",
        METRICS,
        "artifacts/split/split.json",
    }


def test_each_model_is_one_finished_run(clone: Clone) -> None:
    runs = [run for run in clone.runs() if run.info.run_name in MODELS]
    by_name = {run.info.run_name: run for run in reversed(runs)}
    assert set(by_name) == set(MODELS)
    assert {run.info.status for run in runs} == {"FINISHED"}
    assert by_name["mlp"].data.params["parameters"] == "550346"
    assert by_name["cnn"].data.params["parameters"] == "1199882"
    measured = {"loss", "val_accuracy", "elapsed_s", "test_accuracy", "holdout_loss", "test_kappa"}
    for run in by_name.values():
        assert measured <= run.data.metrics.keys()
        assert (
            run.data.tags["mlflow.source.git.commit"]
            == clone.run("git", "rev-parse", "HEAD").stdout.strip()
        )


def test_results_show_table_and_verdict(clone: Clone) -> None:
    shown = clone.run("digits", "results").stdout
    assert "550,346" in shown
    assert "95 % interval" in shown
    assert "make ui" in shown
    assert clone.first.stdout.endswith(shown)


@pytest.mark.slow
def test_experiment_skips_unchanged(clone: Clone, longer: subprocess.CompletedProcess[str]) -> None:
    assert ran(longer) == ["train@cnn", "evaluate@cnn", "compare", "report"]
    assert clone.run("git", "diff", "--name-only", "params.yaml").stdout == ""
    assert "longer" in clone.run("dvc", "exp", "list", "--name-only").stdout


@pytest.mark.slow
def test_experiment_with_fewer_models_is_applied(clone: Clone, tmp_path: Path) -> None:
    copy = Clone(tmp_path / "copy", of=clone.root)
    shutil.copytree(clone.root / ".dvc" / "cache", copy.root / ".dvc" / "cache")
    shutil.copy(clone.root / "dvc.lock", copy.root)
    copy.run("dvc", "checkout", "--allow-missing")
    override = "models=[mlp,cnn]"
    copy.run("dvc", "exp", "run", "--temp", "--name", "fewer", "-S", override, "compare")
    copy.run("dvc", "exp", "apply", "fewer")
    copy.run("git", "commit", "--all", "--message", "fewer models")
    assert copy.run("git", "status", "--porcelain").stdout == ""
    assert json.loads(copy.run("dvc", "status", "compare", "--json").stdout) == {}
    assert {*json.loads((copy.root / METRICS).read_text("utf-8"))} == {"mlp", "cnn", "baseline"}


def test_results_of_a_model_taken_out_are_deleted(clone: Clone, tmp_path: Path) -> None:
    copy = Clone(tmp_path / "copy", of=clone.root)
    shutil.copytree(clone.root / ".dvc" / "cache", copy.root / ".dvc" / "cache")
    shutil.copy(clone.root / "dvc.lock", copy.root)
    copy.run("dvc", "checkout", "--allow-missing")
    copy.set_params((f"models: [{', '.join(MODELS)}]", "models: [mlp]"))
    copy.run("dvc", "repro", "compare")
    for kind in ("train", "evaluate"):
        folders = (copy.root / "artifacts" / kind).iterdir()
        assert sorted(folder.name for folder in folders) == ["mlp"]
    assert json.loads(copy.run("dvc", "status", "compare", "--json").stdout) == {}


def test_restore_fills_empty_store(clone: Clone) -> None:
    empty = {"MLFLOW_TRACKING_URI": "sqlite:///elsewhere.db"}
    clone.run("digits", "restore", **empty)
    restored = clone.runs("elsewhere.db")
    assert sorted(run.info.run_name for run in restored) == sorted(MODELS)
    assert all("digits.restored_from" in run.data.tags for run in restored)
    assert all("test_accuracy" in run.data.metrics for run in restored)
    assert clone.run("digits", "restore", **empty).stdout == ""


def test_wrong_param_stops_before_work(clone: Clone) -> None:
    shutil.copy(clone.root / "params.yaml", clone.root / ".params")
    clone.set_params(("epochs: 1", "epochs: 0"))
    try:
        done = clone.run("dvc", "repro", "train@mlp", succeeds=False)
        assert "error: params.yaml train.mlp.fit.epochs: 0" in done.stderr
        assert "Traceback" not in done.stderr
        assert all(run.info.status != "RUNNING" for run in clone.runs())
    finally:
        (clone.root / ".params").replace(clone.root / "params.yaml")
