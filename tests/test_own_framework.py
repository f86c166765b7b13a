"""Models of another framework, as docs/how-to/own-framework.md says, from training to monitor."""

import ast
import shutil
import sys
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import by_hand
import numpy as np
import pytest
import yaml
from markdown_it import MarkdownIt
from support import (
    NAME,
    PIPELINE,
    REPOSITORY,
    SMALL,
    finding,
    git,
    linear_model,
    record_outputs,
    write_params,
)

from digits import models
from digits.artifacts import COMPARISON, LAYOUT, VALIDATION, TrainOutputs
from digits.params import load as load_params
from digits.project import load_project
from digits.stages import compare, evaluate, train
from digits.toolkit import inference
from digits.toolkit.answering import monitor as monitoring
from digits.toolkit.answering.page import render_monitor
from digits.toolkit.dataset import Dataset
from digits.toolkit.errors import DigitsError, UsageError
from digits.toolkit.files import read_json, write_json
from digits.toolkit.registry.promotion import promote_training
from digits.toolkit.registry.served import served
from digits.toolkit.serving.model import load as load_package
from digits.toolkit.serving.package import write_package
from digits.training import onnx_model

PAGE = (REPOSITORY / "docs/how-to/own-framework.md").read_text("utf-8")
FENCES = [token for token in MarkdownIt().parse(PAGE) if token.type == "fence"]
SKLEARN, TORCH = (fence.content for fence in FENCES if fence.info == "python")
BLOCK, STAGE = (fence.content for fence in FENCES if fence.info == "yaml")
OWN = ["means", "perceptron"]
MOST_LINES = 120


def write_own_params(**changes: object) -> None:
    blocks = {f"train.{name}": block for name, block in yaml.safe_load(BLOCK).items()}
    small = {"models": OWN, "train.means": {"scale": 0.1}, "train.perceptron.epochs": 30}
    small |= {"train.perceptron.learning_rate": 0.02}  # of 255 grey values these images use 16
    off = ("min_sensitivity", "max_sensitivity_loss", "max_latency_ms", "max_unsure")
    gate = dict.fromkeys((f"promote.{check}" for check in off), None)  # of 69 hold-out rows
    gate["promote.min_accuracy"] = 0.8
    write_params(SMALL | blocks | small | gate | changes)


@pytest.fixture
def own(project: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A committed project with the model of the page, and one that is written by hand."""
    folder = project / "src/digits/models"
    folder.mkdir(parents=True)
    shutil.copy(REPOSITORY / "tests/by_hand.py", folder / "means.py")
    (folder / "perceptron.py").write_text(SKLEARN, "utf-8")
    monkeypatch.setattr(models, "__path__", [*models.__path__, str(folder)])
    for name in OWN:  # are forgotten afterwards
        monkeypatch.delitem(sys.modules, f"digits.models.{name}", raising=False)
        monkeypatch.delattr(models, name, raising=False)
    write_own_params()
    Path("data.dvc").write_text(f"outs:\n- md5: {'d' * 32}\n", encoding="utf-8")
    write_json(VALIDATION, {"success": True, "critical": 0})
    record_outputs()
    Path(".gitignore").write_text("__pycache__\nartifacts\nmlflow.db*\nmlartifacts\n", "utf-8")
    for command in ("init -q", "add .", "commit -qm x"):
        git(*command.split())
    return project


def test_author_writes_few_lines() -> None:
    assert sum(text.count("\n") for text in (SKLEARN, BLOCK, STAGE)) <= MOST_LINES


def test_pytorch_listing_is_python() -> None:
    functions = [n for n in ast.parse(TORCH).body if isinstance(n, ast.FunctionDef)]
    assert {function.name for function in functions} == {"fit", "network"}


def test_stage_of_page_reads_and_writes_as_train() -> None:
    [(name, stage)] = yaml.safe_load(STAGE).items()
    same = PIPELINE["train"]
    assert name == "train_onnx"
    assert (stage["cmd"], stage["params"], stage["meta"]) == (
        (same["cmd"], same["params"], same["meta"])
    )
    keras = "artifacts/train/${item.model}/model.keras"
    assert stage["outs"] == [out for out in same["outs"] if out != keras]
    files = [dep for dep in stage["deps"] if dep.startswith("src/") and "$" not in dep]
    assert [file for file in files if not (REPOSITORY / file).is_file()] == []


def test_features_are_optional(tmp_path: Path) -> None:
    model = by_hand.network(np.eye(10, 64, dtype=np.float32), (8, 8), temperature=1.0)
    (tmp_path / "model.onnx").write_bytes(model.SerializeToString())
    assert inference.load(tmp_path / "model.onnx", threads=1).classes == 10
    assert inference.load_features(tmp_path / "model.onnx", threads=1) is None


def test_fit_must_call_on_epoch(digits_8x8: Dataset) -> None:
    file = SimpleNamespace(__name__="silent", fit=lambda *_, **__: (None, 0))
    settings = {"recipe": None, "classes": 10, "seed": 1, "threads": 1, "on_epoch": print}
    train_own = partial(onnx_model.train, file, digits_8x8, digits_8x8, **settings)
    assert finding(DigitsError, train_own) == "silent: fit never called on_epoch; once is enough"


def test_network_must_answer_probabilities(tmp_path: Path, digits_8x8: Dataset) -> None:
    logits = linear_model(np.ones((64, 10), np.float32), np.zeros(10, np.float32), (8, 8), "Relu")
    file = SimpleNamespace(network=lambda *_, **__: logits)
    outputs = TrainOutputs("logits", tmp_path)
    write = partial(onnx_model.write, outputs, file, None, digits_8x8, threads=1)
    assert finding(DigitsError, write).endswith("its rows do not sum to 1, or are nan")


def test_own_block_is_checked(own: Path) -> None:
    write_own_params(**{"train.perceptron.epochs": 0, "train.perceptron.dropout": 1})
    with pytest.raises(UsageError) as caught:
        load_params()
    assert [line.split(":")[0] for line in caught.value.findings] == [
        "params.yaml train.perceptron.epochs",
        "params.yaml train.perceptron.dropout",
    ]


@pytest.mark.slow
def test_own_models_pass_all_stages(own: Path) -> None:
    for name in OWN:
        train.main(name)
        record_outputs()
        assert not TrainOutputs(name).keras.exists()
        assert TrainOutputs(name).read_run().tags["dvc_stage"] == f"train_onnx@{name}"
        evaluate.main(name)
    compare.main()
    record_outputs()
    found = read_json(COMPARISON, dict)
    accuracy = {row["model"]: row["test_accuracy"] for row in found["models"]}
    assert accuracy["perceptron"] > accuracy["means"] > 0.8
    assert [row["test_ece"] < 0.06 for row in found["models"]] == [True, True]

    project = load_project()
    for version, name in enumerate(OWN, 1):
        outcome = promote_training(name, None, None, project=project)
        assert [each for each in outcome.decision.checks if not each.passed] == []
        assert outcome.moved
        uri = f"models:/{NAME}/{version}"
        holdout = LAYOUT.read_split("holdout").data
        with served(uri, threads=2) as model:
            package = write_package(model, Path(name), project=project)
            answers = load_package(package.folder).network.predict(holdout.images)
            assert np.abs(answers - model.predict(holdout.images)).max() < 1e-6
            test = LAYOUT.split("test")
            monitored = monitoring.monitor(test, None, None, model, project=project)
        names = {each.name for each in monitored.result.drift}
        assert names >= {"mean_ink", "contrast", "class_shares"}
        assert ("features" in names) == (name == "perceptron")
        assert monitored.result.drifted == []
        assert "No drift." in render_monitor(monitored)
