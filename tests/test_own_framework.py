"""Models of another framework, as docs/how-to/own-framework.md says, from training to monitor."""

import ast
import sys
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from support import (
    NAME,
    PIPELINE,
    REPOSITORY,
    SMALL,
    changed,
    finding,
    findings,
    git,
    linear_model,
    record_outputs,
    write_params,
)

from digits import models, params
from digits.artifacts import COMPARISON, LAYOUT, VALIDATION, TrainOutputs
from digits.project import load_project
from digits.stages import compare, evaluate, train
from digits.toolkit import Dataset, DigitsError, UsageError, promote_training, served, write_package
from digits.toolkit.answering.monitor import monitor
from digits.toolkit.files import StrictModel, read_json, write_json
from digits.toolkit.serving.model import load as load_package
from digits.training.clock import Clock
from digits.training.temperature import write_calibrated

PAGE = (REPOSITORY / "docs/how-to/own-framework.md").read_text("utf-8")
SKLEARN, BLOCK, STAGE, TORCH = (fence.partition("\n")[2] for fence in PAGE.split("```")[1::2])
BLOCKS = yaml.safe_load(BLOCK) | {"means": {"scale": 0.1}}


class Recipe(StrictModel):
    """`train.means`: the nearest class mean, an ONNX graph made by hand, without `features`."""

    scale: float  # of the squared distances


def fit(recipe: Recipe, data: Dataset, _: Dataset, *, classes: int, **others: Any) -> Any:
    pixels = data.images.reshape(len(data), -1)
    means = np.stack([pixels[data.labels == label].mean(axis=0) for label in range(classes)])
    others["on_epoch"](dict.fromkeys(("loss", "accuracy", "val_loss", "val_accuracy"), 0.5))
    return (2 * recipe.scale * means.T, -recipe.scale * (means**2).sum(axis=1)), means.size


def network(fitted: tuple[np.ndarray, ...], shape: tuple[int, int], *, temperature: float) -> Any:
    kernel, bias = ((each / temperature).astype(np.float32) for each in fitted)
    return linear_model(kernel, bias, shape, features="pixels")


@pytest.fixture
def own(project: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """A committed project with the model of the page, and with the one above; its params."""
    (project / "models").mkdir()
    (project / "models/perceptron.py").write_text(SKLEARN, "utf-8")
    (project / "models/means.py").write_text(f"from {__name__} import Recipe, fit, network\n")
    monkeypatch.setattr(models, "__path__", [*models.__path__, str(project / "models")])
    for name in BLOCKS:  # are forgotten afterwards
        monkeypatch.delitem(sys.modules, f"digits.models.{name}", raising=False)
    off = ("min_sensitivity", "max_sensitivity_loss", "max_latency_ms", "max_unsure")
    gate = dict.fromkeys((f"promote.{check}" for check in off), None)  # of 69 hold-out rows
    small = {"train.perceptron.learning_rate": 0.02, "promote.min_accuracy": 0.8}
    blocks = {f"train.{name}": block for name, block in BLOCKS.items()}
    write_params(changes := SMALL | {"models": [*BLOCKS]} | blocks | gate | small)
    Path("data.dvc").write_text(f"outs:\n- md5: {'d' * 32}\n", encoding="utf-8")
    write_json(VALIDATION, {"success": True, "critical": 0})
    record_outputs()
    Path(".gitignore").write_text("artifacts\nmlflow.db*\nmlartifacts\n__pycache__\n", "utf-8")
    for command in ("init -q", "add .", "commit -qm x"):
        git(*command.split())
    return changes


def test_page_lists_what_its_author_writes() -> None:
    assert sum(text.count("\n") for text in (SKLEARN, BLOCK, STAGE)) <= 120
    functions = [node.name for node in ast.parse(TORCH).body if isinstance(node, ast.FunctionDef)]
    assert functions == ["fit", "network"]
    stage, same = yaml.safe_load(STAGE)["train_onnx"], PIPELINE["train"]
    kept = [dep for dep in same["deps"] if "_normalization" not in dep]
    outs = [out for out in same["outs"] if not out.endswith(".keras")]
    assert stage == same | {"matrix": {"model": ["perceptron"]}, "deps": kept, "outs": outs}


def test_own_model_is_checked(own: dict[str, Any], digits_8x8: Dataset) -> None:
    wrong = {"train.perceptron.epochs": 0, "train.perceptron.dropout": 1}
    found = findings(UsageError, partial(params.check, changed(own | wrong)))
    assert [line.split(":")[0].split(".")[-1] for line in found] == ["epochs", "dropout"]
    silent = partial(Clock(print).timing, images=1, threads=1)
    assert finding(DigitsError, silent).endswith("never called on_epoch; once is enough")
    logits = linear_model(np.ones((64, 10), np.float32), np.ones(10, np.float32), (8, 8), "Relu")
    outputs = TrainOutputs("logits")
    write = partial(write_calibrated, lambda temperature: logits, outputs, digits_8x8, threads=1)
    assert finding(DigitsError, write).endswith("its rows do not sum to 1, or are nan")


@pytest.mark.slow
def test_own_models_pass_all_stages(own: dict[str, Any]) -> None:
    for name in BLOCKS:
        train.main(name)
        record_outputs()
        assert not TrainOutputs(name).keras.exists()
        assert TrainOutputs(name).read_run().tags["dvc_stage"] == f"train_onnx@{name}"
        evaluate.main(name)
    compare.main()
    record_outputs()
    found = {row["model"]: row for row in read_json(COMPARISON, dict)["models"]}
    accuracy, error = (
        [found[each][key] for each in BLOCKS] for key in ("test_accuracy", "test_ece")
    )
    assert accuracy[0] > accuracy[1] > 0.8
    assert max(error) < 0.06
    project, holdout = load_project(), LAYOUT.read_split("holdout").data
    for version, name in enumerate(reversed(BLOCKS), 1):
        outcome = promote_training(name, None, None, project=project)
        assert [each for each in outcome.decision.checks if not each.passed] == []
        assert outcome.moved
        with served(f"models:/{NAME}/{version}", threads=2) as model:
            package = load_package(write_package(model, Path(name), project=project).folder)
            answers = package.network.predict(holdout.images)
            assert np.abs(answers - model.predict(holdout.images)).max() < 1e-6
            found_drift = monitor(LAYOUT.split("test"), None, None, model, project=project).result
        names = {each.name for each in found_drift.drift}
        assert names >= {"mean_ink", "contrast", "class_shares"}
        assert ("features" in names) == (name == "perceptron")
        assert found_drift.drifted == []
