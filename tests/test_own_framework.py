"""Models without Keras, those of docs/how-to/own-framework.md and `features`, up to the monitor."""

from pathlib import Path

import helpers
import networks
import numpy as np
import optuna
import pytest
import support
import yaml

import sweep
from digits.project import load_project
from digits.stages import compare, evaluate, train
from imageproof.answer._monitor import monitor
from imageproof.artifacts import WORKSPACE
from imageproof.base.files import read_json, sha256
from imageproof.dvc.params_yaml import read
from imageproof.registry._promotion import Candidate, promote_training
from imageproof.registry._version import load_version
from imageproof.serve._model import load
from imageproof.serve._package import write_package

PAGE = (support.REPOSITORY / "docs/how-to/own-framework.md").read_text("utf-8")
PERCEPTRON, BLOCK, _, MEANS = (x.partition("\n")[2] for x in PAGE.split("```")[1::2])
MODELS = ["features", "means", "perceptron"]
OFF = "min_sensitivity max_sensitivity_loss max_latency_ms max_unsure data_validated clean_commit"
CHANGES = support.SMALL | {
    "models": MODELS,
    "train.features.backbone": "standin",
    "train.perceptron": yaml.safe_load(BLOCK)["perceptron"] | {"learning_rate": 0.02},
    "train.means": {"scale": 6500},  # of 255 grey values these images use 16
    "promote.min_accuracy": 0.1,
    **{f"promote.{check}": None for check in OFF.split()},
}


@pytest.fixture
def framework_models(project, add_models):  # with the models of the page, and a small backbone
    add_models({"perceptron": PERCEPTRON, "means": MEANS})
    digest = sha256(networks.write_standin())
    support.write_params(CHANGES | {"train.features.backbone_sha256": digest})


@pytest.mark.slow
def test_models_without_keras_pass_all_stages(framework_models, capfd):
    for name in MODELS:
        train.main(name)
        helpers.record_outputs()
        assert WORKSPACE.trained(name).read_run().tags["dvc_stage"] == f"train@{name}"
        # DVC warns of an empty file
        assert "not one of Keras" in WORKSPACE.trained(name).keras.read_text("utf-8")
        evaluate.main(name)
    compare.main()
    helpers.record_outputs()
    assert "standin: is for colour; the grey values are repeated in" in capfd.readouterr().out
    assert WORKSPACE.trained("features").read_run().params["backbone"] == "standin"
    for row in read_json(WORKSPACE.comparison, dict)["models"]:
        assert row["model"] == "features" or row["test_accuracy"] - row["test_ece"] > 0.75
    project = load_project()
    images = WORKSPACE.read_split("holdout").data.images
    for version, name in enumerate(MODELS, 1):
        assert promote_training(Candidate(name), project=project).move
        with load_version(f"models:/{support.NAME}/{version}", threads=2) as model:
            packaged = load(write_package(model, Path(name), coverage=0.99).folder).network
            assert np.abs(packaged.predict(images) - model.predict(images)).max() < 1e-6
            result = monitor(WORKSPACE.split("test"), None, None, model, project=project).result
        drifted = {check.name: check.drifted for check in result.drift}
        assert ("features" in drifted) == (name != "means")
        if name == "features":
            assert drifted["features"] is False
        else:
            assert {"mean_ink", "contrast", "class_shares"} <= drifted.keys()
            assert not any(drifted.values())


@pytest.mark.usefixtures("framework_models")
def test_model_without_keras_is_searched_by_its_last_epoch():
    Path("dvc.yaml").write_text("stages: {}")  # no code that may change meanwhile
    settings = {"model": "perceptron", "params": read(), "space": {"learning_rate": [0.02]}}
    settings["inputs"] = {}
    trial = optuna.trial.FixedTrial({"learning_rate": "0.02"})
    assert sweep._train(trial, settings) > 0.75
