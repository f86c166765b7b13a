"""MLflow: what the run of one trained and evaluated model holds."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import mlflow
import numpy as np
import pytest
from helpers import only_run
from mlflow import MlflowClient
from support import NAME, PARAMS

from imageproof.artifacts import Artifacts
from imageproof.base._dataset import SPLITS
from imageproof.base.files import md5
from imageproof.mlflow import _logged_model, _runs, _store
from imageproof.pages._colours import SERIES


@pytest.fixture
def files(trained_project):
    return Artifacts(trained_project)


@pytest.fixture
def client(workspace, trained_project):
    mlflow.set_tracking_uri(f"sqlite:///{trained_project}/mlflow.db")
    return MlflowClient()


@pytest.fixture
def run(client):
    return only_run(client)


@pytest.fixture
def model(client, run):
    return client.get_logged_model(_runs.model_id(run))


def test_run_holds_the_params_that_decide_the_result(run, files):
    assert run.data.params == {
        "model": "mlp",
        "seed": "42",
        "classes": "10",
        "threads": "2",
        "image.size": "auto",
        "image.channels": "auto",
        "image.fit": "digit",
        "distribute": "none",
        "parameters": "1438",
        "data_md5": "untracked",
        "build.units": "[16, 12, 8]",
        "build.dropout": "[0.1, 0.1, 0.1]",
        "optimizer.name": "rmsprop",
        "optimizer.learning_rate": "0.001",
        "fit.epochs": "2",
        "fit.batch_size": "100",
        "split_md5": md5(files.split("train")),
    }


def test_run_holds_cost_and_scores(run, files):
    metrics = run.data.metrics
    expected = files.trained("mlp").read_metrics()
    assert expected.pop("parameters") == 1438
    evaluated = files.evaluated("mlp")
    baseline = evaluated.read_baseline()
    for split, scores in evaluated.read_metrics().items():
        classes = evaluated.read_statistics()[split].by_class.values()
        figures = scores | evaluated.read_confidence()[split]
        figures |= {
            "coverage_asked": 0.99,
            "baseline_gain": baseline[split]["gain"],
            "rows": len(files.read_split(split).data),
            "weakest_sensitivity": min(figure["sensitivity"] for figure in classes),
        }
        expected |= {f"{split}_{name}": value for name, value in figures.items()}
    assert metrics.items() > expected.items()
    assert metrics["test_error_percent"] == 100 * (1 - metrics["test_accuracy"])
    assert np.isfinite([*metrics.values()]).all()


def test_run_holds_all_that_evaluate_wrote(run, files):
    logged = Path(run.info.artifact_uri.removeprefix("file://"))
    for local in files.evaluated("mlp").folder.iterdir():
        assert (logged / local.name).read_bytes() == local.read_bytes()


def test_run_names_its_data(run, files, model):
    digests = {split: md5(files.split(split)) for split in SPLITS}
    for data in run.inputs.dataset_inputs:
        split = data.dataset.name
        assert data.tags[0].value == split
        assert data.dataset.digest == digests.pop(split)
        assert mlflow.data.get_source(data.dataset).load() == str(files.split(split))
    assert digests == {}
    owners = {m.key: (m.dataset_name, m.dataset_digest) for m in model.metrics}
    for split, key in {"test": "behaviour_clean", "holdout": "holdout_kappa"}.items():
        assert owners[key] == (split, md5(files.split(split)))


def test_run_says_where_it_comes_from(run, files):
    record = files.trained("mlp").read_run()
    assert (record.run_id, record.model_id) == (run.info.run_id, _runs.model_id(run))
    tags = _runs.own_tags(run.data.tags)
    colour = SERIES[PARAMS["models"].index("mlp")]
    texts = {"dvc_stage": "train@mlp", "colour": colour, "baseline": "colour histogram"}
    assert tags.items() > texts.items()
    assert tags["cpu"]
    assert tags["device"].startswith("CPU, ")


def test_model_says_what_it_takes_and_gives(run, model):
    logged = Path(mlflow.artifacts.download_artifacts(f"models:/{model.model_id}"))
    info = mlflow.models.Model.load(logged)
    tensors = [*info.signature.inputs.inputs, *info.signature.outputs.inputs]
    assert [f"{tensor.name} {tensor.type} {tensor.shape}" for tensor in tensors] == [
        "images uint8 (-1, 8, 8)",
        "probabilities float32 (-1, 10)",
        "class <U0 (-1,)",
    ]
    assert info.metadata["class_names"] == [*map(str, range(10))]
    assert info.metadata["fit"] == "digit"
    assert info.load_input_example(str(logged))["images"].shape == (1, 8, 8)
    tags = _runs.own_tags(run.data.tags)
    assert _logged_model.files_sha256(logged) == tags[_logged_model.MODEL_SHA256]


def test_runs_that_log_the_same_data_at_once(tracked):
    experiment = _store.connect(NAME)
    client = MlflowClient()
    run_ids = [client.create_run(experiment).info.run_id for _ in range(8)]
    for attempt in range(3):  # none of which has the data yet

        def log(run_id, digest=f"{attempt:032}"):
            _runs.log_datasets(run_id, {"test": digest})

        with ThreadPoolExecutor(len(run_ids)) as pool:
            assert [*pool.map(log, run_ids)] == [None] * len(run_ids)
    assert {len(client.get_run(run_id).inputs.dataset_inputs) for run_id in run_ids} == {3}
