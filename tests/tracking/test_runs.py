"""MLflow: what the run of one trained and evaluated model holds."""

import hashlib
import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from helpers import Server, only_run, until
from mlflow import MlflowClient
from mlflow.entities import Run
from small_project import Project
from support import NAME, PARAMS, SMALL, write_params

from digits.project import load_project
from imageproof.artifacts import WORKSPACE, Artifacts
from imageproof.base.dataset import load_split
from imageproof.base.files import md5, read_json
from imageproof.judge.confidence import threshold
from imageproof.mlflow import live, logged_model, runs, store
from imageproof.outputs import read_calibration
from imageproof.pages.colours import SERIES


class TestARun:
    """What one trained and evaluated model leaves behind."""

    @pytest.fixture
    def client(self, workspace: Path, trained_project: Path) -> MlflowClient:
        import mlflow

        mlflow.set_tracking_uri(f"sqlite:///{trained_project}/mlflow.db")
        return MlflowClient()

    @pytest.fixture
    def run(self, client: MlflowClient) -> Run:
        return only_run(client)

    def artifacts(self, client: MlflowClient, run: Run, folder: str | None = None) -> set[str]:
        return {file.path for file in client.list_artifacts(run.info.run_id, folder)}

    def test_holds_the_params_that_decide_the_result(self, run: Run, trained_project: Path) -> None:
        split_md5 = md5(trained_project / "artifacts/split/train.npz")
        assert run.data.params == {
            **{"model": "mlp", "seed": "42", "classes": "10", "threads": "2"},
            **{"image.size": "auto", "image.channels": "auto", "image.fit": "digit"},
            **{"distribute": "none", "parameters": "1438", "data_md5": "untracked"},
            **{"build.units": "[16, 12, 8]", "build.dropout": "[0.1, 0.1, 0.1]"},
            **{"optimizer.name": "rmsprop", "optimizer.learning_rate": "0.001"},
            **{"fit.epochs": "2", "fit.batch_size": "100", "split_md5": split_md5},
        }

    def test_holds_curves(self, client: MlflowClient, run: Run, trained_project: Path) -> None:
        history = pd.read_csv(trained_project / "artifacts/train/mlp/history.csv")
        for metric in ("loss", "accuracy", "val_loss", "val_accuracy"):
            curve = client.get_metric_history(run.info.run_id, metric)
            assert [point.step for point in curve] == history["epoch"].to_list() == [0, 1]
            values = [point.value for point in curve]
            np.testing.assert_allclose(values, history[metric], rtol=1e-12)

    def test_holds_what_the_training_cost(self, run: Run, trained_project: Path) -> None:
        cost = read_json(trained_project / "artifacts/train/mlp/metrics.json", dict)
        assert cost.pop("parameters") == 1438
        assert set(cost) > {"user_s", "system_s", "elapsed_s", "epoch_s", "samples_per_s"}
        assert {name: run.data.metrics[name] for name in cost} == pytest.approx(cost)

    @pytest.mark.parametrize("split", ["test", "holdout"])
    def test_holds_scores_of_each_split(self, run: Run, trained_project: Path, split: str) -> None:
        scores = read_json(trained_project / "artifacts/evaluate/mlp/metrics.json", dict)[split]
        assert {"accuracy", "loss"} <= set(scores)
        found = {name: run.data.metrics[f"{split}_{name}"] for name in scores}
        assert found == pytest.approx(scores)

    @pytest.mark.parametrize("split", ["test", "holdout"])
    def test_holds_answer_sets(self, run: Run, trained_project: Path, split: str) -> None:
        evaluated = trained_project / "artifacts/evaluate/mlp"
        found = read_json(evaluated / "confidence.json", dict)
        truth = np.load(trained_project / "artifacts/train/mlp/calibration.npz")
        assert found["threshold"] == threshold(truth["truth_probabilities"], found["asked"])
        labels = load_split(trained_project / f"artifacts/split/{split}.npz").data.labels
        sets = np.load(evaluated / "predictions.npz")[split] >= np.float32(found["threshold"])
        metrics = run.data.metrics
        assert metrics[f"{split}_coverage"] == sets[np.arange(len(labels)), labels].mean()
        assert metrics[f"{split}_mean_set_size"] == pytest.approx(sets.sum(axis=1).mean())
        assert metrics[f"{split}_unsure"] == found[split]["unsure"]
        assert metrics[f"{split}_coverage_asked"] == 0.99

    def test_has_the_gain_over_the_baseline(self, run: Run, trained_project: Path) -> None:
        written = read_json(trained_project / "artifacts/evaluate/mlp/baseline.json", dict)
        assert runs.own_tags(run.data.tags)["baseline"] == written["name"] == "colour histogram"
        for split in ("test", "holdout"):
            for figure, value in written[split].items():
                assert run.data.metrics[f"{split}_baseline_{figure}"] == pytest.approx(value)
            gain = run.data.metrics[f"{split}_accuracy"] - written[split]["accuracy"]
            assert written[split]["gain"] == pytest.approx(gain)

    def test_holds_all_that_evaluate_wrote(
        self, client: MlflowClient, run: Run, trained_project: Path, tmp_path: Path
    ) -> None:
        for local in (trained_project / "artifacts/evaluate/mlp").iterdir():
            logged = client.download_artifacts(run.info.run_id, local.name, str(tmp_path))
            assert Path(logged).read_bytes() == local.read_bytes()
        keys = {Path(path).name.split("+")[0] for path in self.artifacts(client, run, "images")}
        assert keys >= {"test_confusion_matrix", "holdout_confusion_matrix"}

    @pytest.mark.parametrize("split", ["train", "validation", "test", "holdout"])
    def test_names_its_data(self, run: Run, trained_project: Path, split: str) -> None:
        import mlflow

        path = trained_project / f"artifacts/split/{split}.npz"
        [found] = [i for i in run.inputs.dataset_inputs if i.dataset.name == split]
        assert [(tag.key, tag.value) for tag in found.tags] == [("mlflow.data.context", split)]
        assert found.dataset.digest == hashlib.md5(path.read_bytes()).hexdigest()
        assert mlflow.data.get_source(found.dataset).load() == str(path)
        schema = json.loads(found.dataset.schema)["mlflow_tensorspec"]
        images, labels = (json.loads(schema[part])[0] for part in ("features", "targets"))
        assert images["tensor-spec"] == {"dtype": "uint8", "shape": [-1, 8, 8]}
        assert labels["tensor-spec"] == {"dtype": "int64", "shape": [-1]}

    @pytest.mark.parametrize("split", ["test", "holdout"])
    def test_ties_the_metrics_of_a_split_to_its_dataset(
        self, client: MlflowClient, run: Run, trained_project: Path, split: str
    ) -> None:
        model = client.get_logged_model(run.outputs.model_outputs[0].model_id)
        digest = md5(trained_project / f"artifacts/split/{split}.npz")
        known = {m.key: (m.dataset_name, m.dataset_digest) for m in model.metrics or []}
        of_split = {key for key in known if key.startswith(f"{split}_")}
        of_split |= {key for key in known if key.startswith("behaviour_") and split == "test"}
        assert of_split >= {f"{split}_accuracy", f"{split}_kappa", f"{split}_rows"}
        assert {known[key] for key in of_split} == {(split, digest)}

    def test_says_where_it_comes_from(self, run: Run, trained_project: Path) -> None:
        record = read_json(trained_project / "artifacts/train/mlp/run.json", dict)
        model_id = run.outputs.model_outputs[0].model_id
        assert (record["run_id"], record["model_id"]) == (run.info.run_id, model_id)
        tags = runs.own_tags(run.data.tags)
        assert all(key.startswith(("digits.", "mlflow.")) for key in run.data.tags)
        assert tags["dvc_stage"] == "train@mlp"
        assert tags["model"] == "mlp"
        assert tags["cpu"]
        assert tags["device"].startswith("CPU, ")

    def test_has_the_colour_of_its_model(self, run: Run) -> None:
        assert run.data.tags["mlflow.runColor"] == SERIES[PARAMS["models"].index("mlp")]

    def test_has_a_model_that_predicts_on_raw_pixels(self, run: Run, trained_project: Path) -> None:
        import mlflow

        model = mlflow.pyfunc.load_model(f"models:/{run.outputs.model_outputs[0].model_id}")
        images = load_split(trained_project / "artifacts/split/test.npz").data.images
        with np.load(trained_project / "artifacts/evaluate/mlp/predictions.npz") as predictions:
            expected = predictions["test"]
        answers = model.predict(images)
        found = answers["probabilities"]
        assert answers["class"].tolist() == [str(label) for label in found.argmax(axis=1)]
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-7)
        assert np.array_equal(model.predict({"images": images})["probabilities"], found)
        with pytest.raises(mlflow.MlflowException, match=r"[Ss]hape"):
            model.predict(images[:, :5])

    def test_model_has_signature_and_requirements(self, client: MlflowClient, run: Run) -> None:
        import mlflow

        info = mlflow.models.get_model_info(f"models:/{run.outputs.model_outputs[0].model_id}")
        assert info.signature is not None
        [pixels] = info.signature.inputs.inputs
        probabilities, names = info.signature.outputs.inputs
        named = (pixels.name, pixels.type, pixels.shape)
        assert named == ("images", np.dtype("uint8"), (-1, 8, 8))
        named = (probabilities.name, probabilities.type, probabilities.shape)
        assert named == ("probabilities", np.dtype("float32"), (-1, 10))
        assert (names.name, names.type, names.shape) == ("class", np.dtype("str"), (-1,))
        folder = Path(mlflow.artifacts.download_artifacts(info.model_uri))
        needed = (folder / "requirements.txt").read_text("utf-8").splitlines()
        packages = {line.partition("==")[0] for line in needed}
        assert packages == {"mlflow", "numpy", "onnx", "onnxruntime"}
        model = client.get_logged_model(info.model_id)
        assert {metric.key for metric in model.metrics or []} >= {"elapsed_s", "test_accuracy"}
        assert (model.name, model.model_type) == ("mlp", "classifier")
        assert info.metadata["class_names"] == [*map(str, range(10))]
        assert info.metadata["fit"] == "digit"
        assert info.metadata["temperature"] > 0

    def test_model_has_example_and_extra_files(self, run: Run, trained_project: Path) -> None:
        import mlflow

        uri = f"models:/{run.outputs.model_outputs[0].model_id}"
        logged = Path(mlflow.artifacts.download_artifacts(uri))
        outputs = Artifacts(trained_project).trained("mlp")
        assert (logged / "extra_files/model.keras").read_bytes() == outputs.keras.read_bytes()
        assert read_calibration(logged / "extra_files/calibration.npz").temperature > 0
        example = mlflow.models.Model.load(logged).load_input_example(str(logged))
        validation = load_split(trained_project / "artifacts/split/validation.npz").data
        assert np.array_equal(example["images"], validation.images[:1])
        assert (
            logged_model.files_sha256(logged) == run.data.tags[runs.tag(logged_model.MODEL_SHA256)]
        )


@pytest.mark.parametrize("wanted", [True, False])
def test_system_metrics(tracked: Path, monkeypatch: pytest.MonkeyPatch, wanted: bool) -> None:
    monkeypatch.setenv("MLFLOW_SYSTEM_METRICS_SAMPLING_INTERVAL", "0.05")
    write_params({**SMALL, "tracking.system_metrics": wanted})
    named = "system/cpu_utilization_percentage"
    with live.training_run("mlp", load_project(), params={}, tags={}) as run:
        client, run_id = MlflowClient(), run.run_id
        until(lambda: named in client.get_run(run_id).data.metrics, seconds=60 if wanted else 0.5)
    logged = client.get_run(run_id).data.metrics
    assert (named in logged) == wanted == bool(logged)


def test_data_of_a_shared_run_comes_from_the_remote(
    dvc_project: Project, mlflow_server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", mlflow_server.uri)
    md5 = hashlib.md5((dvc_project.root / "data/images.csv").read_bytes()).hexdigest()
    for remote, expected in (
        ("s3://bucket", f"s3://bucket/files/md5/{md5[:2]}/{md5[2:]}"),
        ("/store", str(dvc_project.root / "data/images.csv")),  # of this machine only
    ):
        dvc_project.dvc("remote", "add", "-fd", "team", remote)
        experiment, client = store.connect(f"{NAME}{remote[:1]}"), MlflowClient()
        run_id = client.create_run(experiment).info.run_id
        runs.log_datasets(run_id, {"data": md5}, lambda _: Path("data/images.csv"))
        [found] = client.get_run(run_id).inputs.dataset_inputs
        assert json.loads(found.dataset.source) == {"uri": expected}


def test_runs_that_log_the_same_data_at_once(tracked: Path) -> None:
    client, experiment = MlflowClient(f"sqlite:///{tracked}/mlflow.db"), store.connect(NAME)
    started = [client.create_run(experiment).info.run_id for _ in range(8)]
    for attempt in range(5):  # none of which has the data yet

        def log(run_id: str, digest: str = f"{attempt:032}") -> None:
            runs.log_datasets(run_id, {"test": digest}, WORKSPACE.split)

        with ThreadPoolExecutor(len(started)) as pool:
            assert [*pool.map(log, started)] == [None] * len(started)
    assert {len(client.get_run(run_id).inputs.dataset_inputs) for run_id in started} == {5}
