"""The model `features` in a project, with a small backbone, from training to a package."""

import json
from pathlib import Path

import helpers
import networks
import numpy as np
import pytest
import support
from mlflow import MlflowClient

from digits.project import load_project
from digits.stages import compare, evaluate, train
from imageproof.answer._monitor import monitor
from imageproof.artifacts import WORKSPACE
from imageproof.base.files import md5, sha256
from imageproof.registry._promotion import Candidate, promote_training
from imageproof.registry._version import load_version
from imageproof.serve._model import load
from imageproof.serve._package import write_package

OFF = "min_sensitivity max_sensitivity_loss max_latency_ms max_unsure data_validated clean_commit"
CHANGES = support.SMALL | {
    "models": ["features"],
    "train.features.backbone": "standin",
    "promote.min_accuracy": 0.1,
    **{f"promote.{check}": None for check in OFF.split()},
}


@pytest.fixture
def standin(project):
    path = networks.write_standin()
    described = {"outs": [{"path": path.name, "md5": md5(path), "desc": "three colours"}]}
    described |= {"meta": {"describes": md5(path), "license": "CC0", "source": "a test"}}
    path.with_name(f"{path.name}.dvc").write_text(json.dumps(described))
    digest = {"train.features.backbone_sha256": sha256(path)}
    support.write_params(CHANGES | digest)


def test_features_from_training_to_package(standin, capfd):
    train.main("features")
    helpers.record_outputs()
    evaluate.main("features")
    compare.main()
    helpers.record_outputs()
    printed = capfd.readouterr().out
    assert "standin: asked for" in printed
    assert "standin: is for colour; the grey values are repeated in its three channels" in printed
    outputs = WORKSPACE.trained("features")
    assert "not one of Keras" in outputs.keras.read_text("utf-8")  # DVC warns of an empty file
    record = outputs.read_run()
    assert record.tags["dvc_stage"] == "train@features"
    assert record.params["backbone"] == "standin"
    images = WORKSPACE.read_split("holdout").data.images
    project = load_project()
    assert promote_training(Candidate("features"), project=project).move
    card = MlflowClient().get_model_version(support.NAME, "1").description
    assert "- Backbone standin: three colours; licence: CC0; origin: a test\n" in card
    with load_version(f"models:/{support.NAME}/1", threads=2) as model:
        packaged = load(write_package(model, Path("package"), project=project).folder).network
        assert [path.name for path in model.files.folder.glob("extra_files/*")] == [
            "calibration.npz"
        ]
        assert np.abs(packaged.predict(images) - model.predict(images)).max() < 1e-6
        result = monitor(WORKSPACE.split("test"), None, None, model, project=project).result
    assert {finding.name: finding.drifted for finding in result.drift}["features"] is False
