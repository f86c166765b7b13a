"""Models and splits at the edge, through the stages after the training."""

from pathlib import Path

import mlflow
import numpy as np
import pandas as pd
import pytest
from helpers import linear_model, run_record, write_baseline
from sklearn.linear_model import LogisticRegression
from support import SMALL, write_params

from digits.stages import compare, evaluate, pack
from imageproof.artifacts import WORKSPACE
from imageproof.base._dataset import Dataset, Split, save_split
from imageproof.base.files import read_json, write_json

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("tracked")]

MODELS = ["mlp", "cnn"]


def write_data(data):
    """data/, params.yaml and the splits of two classes; the hold-out has only one of them."""
    write_params(SMALL | {"models": MODELS, "data.classes": 2})
    Path("data").mkdir()
    np.savez("data/images.npz", x_train=data.images, y_train=data.labels)
    rows = np.arange(len(data))
    holdout = rows[(rows % 4 == 0) & (data.labels == 0)]
    splits = {"validation": rows[:1], "test": rows[rows % 4 == 1], "holdout": holdout}
    for name, picks in splits.items():
        save_split(WORKSPACE.split(name), Split(data.take(picks), picks))
    summary = {
        "rows": {"train": len(data)} | {name: len(picks) for name, picks in splits.items()},
        "copies": {"test": 8},
        "class_counts": {"holdout": {"0": len(holdout)}},
    }
    write_json(WORKSPACE.split_summary, summary)
    write_baseline()


def write_model(name, weights, bias):
    """The outputs of a training that came to these weights (64, 2)."""
    outputs = WORKSPACE.trained(name)
    outputs.write_calibration(1.0, np.array([0.5], np.float32))
    network = linear_model(weights.astype(np.float32), bias.astype(np.float32), (8, 8))
    outputs.model.write_bytes(network.SerializeToString())
    outputs.keras.touch()  # it is not of Keras
    outputs.write_history([{"loss": 1, "accuracy": 1, "val_loss": 1, "val_accuracy": 0.5}])
    cost = "user_s system_s elapsed_s epoch_s parameters temperature train_accuracy"
    write_json(outputs.metrics, dict.fromkeys(cost.split(), 1))
    record = run_record(name, tags={"model": name}, datasets={"train": "0" * 32})
    write_json(outputs.run, record.model_dump())


def test_class_without_rows_and_rows_of_five_writers(images_8x8):
    """A perfect model, and one that names one class only, on a hold-out that has only this one."""
    rows = np.flatnonzero(images_8x8.labels < 2)[:360]
    images = (images_8x8.images[rows] * 15).astype(np.uint8)
    data = Dataset(images, images_8x8.labels[rows], np.arange(360) // 72)
    write_data(data)
    fit = LogisticRegression(C=1e6, max_iter=5000, tol=1e-3)
    fit.fit(images.reshape(len(data), -1) / 255, data.labels)
    weights = np.hstack([-fit.coef_.T, fit.coef_.T]) / 255
    write_model("cnn", weights, np.append(-fit.intercept_, fit.intercept_))
    write_model("mlp", 0 * weights, np.array([9, 0]))
    pack.main()
    table = pd.read_parquet(WORKSPACE.packed_rows)
    table.assign(meta_writer=data.groups.astype(str)).to_parquet(WORKSPACE.packed_rows)
    for model in MODELS:
        evaluate.main(model)
    compare.main()
    comparison = read_json(WORKSPACE.comparison, dict)
    mlp, cnn = comparison["models"]
    assert (mlp["test_balanced_accuracy"], cnn["test_accuracy"]) == (0.5, 1)
    assert comparison["pairs"][0]["p_value"] is None
    verdicts = "\n".join(comparison["verdicts"])
    for part in ("8 of 90 test rows are copies", "hold-out rows, 0 of class 1, are too few for "):
        assert part in verdicts
    runs = mlflow.search_runs(search_all_experiments=True, output_format="list")
    assert len(runs) == len(MODELS)
    assert all(np.isfinite([*run.data.metrics.values()]).all() for run in runs)
    evaluated = WORKSPACE.evaluated("cnn")
    overall = evaluated.read_statistics()["test"]["overall"]
    assert (overall["accuracy"], overall["accuracy_upper"]) == (1, 1)
    coverage = evaluated.read_confidence()["test"]
    slices = pd.read_csv(evaluated.slices)
    assert slices["lower"].isna().sum() == 5  # of a writer each
    bins = pd.read_csv(evaluated.reliability)
    lower_ends = overall["accuracy_lower"], coverage["coverage_lower"], bins["lower"].max()
    assert max(lower_ends) < 0.95  # of 90 independent rows 0.96
    gain = evaluated.read_baseline()["test"]
    assert (gain["p_value"], gain["gain"]) == (None, 1 - gain["accuracy"])
    assert gain["gain_lower"] < 0.35  # of independent rows 0.4
