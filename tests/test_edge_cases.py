"""Models and splits at the edge, through the stages evaluate, compare and report."""

from pathlib import Path

import mlflow
import numpy as np
import pandas as pd
import pytest
from helpers import run_record, write_baseline
from sklearn.linear_model import LogisticRegression
from support import SMALL, write_params

from digits.stages import compare, evaluate, explore, pack, report, validate
from imageproof.artifacts import WORKSPACE
from imageproof.base.dataset import Dataset, Split, save_split
from imageproof.base.files import read_json, write_json

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("tensorflow")]

MODELS = ["mlp", "cnn"]
PAGE = Path("artifacts/report/index.html")


def write_data(data: Dataset, *, classes: int, absent_from_holdout: int) -> None:
    """data/, params.yaml and the splits, of which the hold-out lacks a class."""
    changes = {"models": MODELS, "data.classes": classes, "validate.max_mean_ink": 255}
    write_params(SMALL | changes)
    Path("data").mkdir()
    np.savez("data/images.npz", x_train=data.images, y_train=data.labels)
    rows = np.arange(len(data))
    holdout = rows[(rows % 4 == 0) & (data.labels != absent_from_holdout)]
    splits = {"validation": rows[:1], "test": rows[rows % 4 == 1], "holdout": holdout}
    sources = {"train": {"file": "data/images.npz", "rows": len(data)}}
    sizes = {"train": len(data)} | {name: len(own) for name, own in splits.items()}
    counts = {str(k): n for k, n in enumerate(np.bincount(data.labels[holdout]).tolist())}
    summary = {"rows": sizes, "sources": sources, "copies": {"test": 8}}
    write_json(WORKSPACE.split_summary, summary | {"class_counts": {"holdout": counts}})
    for name, own in splits.items():
        save_split(WORKSPACE.split(name), Split(data.take(own), own))
    write_baseline()


def write_model(name: str, data: Dataset, *, weights: np.ndarray, bias: np.ndarray) -> None:
    """The outputs of a training that came to these weights (pixels, classes)."""
    from keras import Sequential, layers

    from imageproof.keras import export
    from imageproof.keras.networks import raw_pixels

    shape, classes = data.images.shape[1:], len(bias)
    head = layers.Dense(classes, activation="softmax")
    model = Sequential([*raw_pixels(shape), layers.Flatten(), head])
    head.set_weights([weights, bias])
    outputs = WORKSPACE.trained(name)
    export.write_keras(model, outputs.keras)
    export.write_onnx(model, outputs.model)
    outputs.write_calibration(1.0, np.array([0.5], np.float32))
    outputs.write_history([{"loss": 1, "accuracy": 1, "val_loss": 1, "val_accuracy": 0.5}])
    timing = {"user_s": 1, "system_s": 0.1, "elapsed_s": 1, "epoch_s": 1, "samples_per_s": 9}
    logits = data.images.reshape(len(data), -1) / 255 @ weights + bias
    accuracy = float(np.mean(logits.argmax(axis=1) == data.labels))
    facts = {"parameters": model.count_params(), "train_accuracy": accuracy}
    write_json(outputs.metrics, timing | facts)
    recorded = {"params": {"model": name, "seed": 1}, "datasets": {"train": "0" * 32}}
    record = run_record(name, run_id=name.encode().hex().ljust(32, "0"), **recorded)
    write_json(outputs.run, record.model_dump() | {"tags": {"model": name}})


def perfect_weights(data: Dataset) -> tuple[np.ndarray, np.ndarray]:
    """Weights (pixels, classes) and bias of a model that knows every image by heart."""
    pixels = data.images.reshape(len(data), -1) / 255
    fitted = LogisticRegression(C=1e6, max_iter=5000, tol=1e-3).fit(pixels, data.labels)
    weights, bias = fitted.coef_.T, fitted.intercept_
    if weights.shape[1] == 1:
        weights, bias = np.hstack([-weights, weights]) / 2, np.hstack([-bias, bias]) / 2
    return weights, bias


def run_stages() -> str:
    """Everything after the training; returns the report."""
    pack.main()
    validate.main()
    explore.main()
    for model in MODELS:
        evaluate.main(model)
    compare.main()
    report.main()
    return PAGE.read_text(encoding="utf-8")


def test_two_classes_and_identical_models(tracked: Path, images_8x8: Dataset) -> None:
    rows = np.flatnonzero(images_8x8.labels < 2)
    bright = Dataset((images_8x8.images[rows] * 15).astype(np.uint8), images_8x8.labels[rows])
    write_data(bright, classes=2, absent_from_holdout=1)
    weights, bias = perfect_weights(bright)
    for model in MODELS:
        write_model(model, bright, weights=weights, bias=bias)

    page = run_stages()
    comparison = read_json(WORKSPACE.comparison, dict)
    assert [row["test_accuracy"] for row in comparison["models"]] == [1, 1]
    [pair] = comparison["pairs"]
    assert (pair["gain"], pair["p_value"], pair["seconds_per_error"]) == (0, 1, None)
    choice, baseline, _, equal, *_, copies, limit = comparison["verdicts"]
    assert baseline.startswith("mlp is better than the baseline (colour histogram): 100.0 % agai")
    assert choice.endswith("no model is more accurate beyond noise, and none trains faster")
    assert equal.startswith("cnn and mlp give the same answer on all 90 images")
    assert copies.split(":")[0] in page
    assert "hold-out rows, 0 of class 1, are too few for promote.max_sens" in limit
    assert limit in page
    assert 'title="class 1 absent">n/a</td>' in page
    assert "mlp: n/a: class 1 absent" in page
    runs = mlflow.search_runs(search_all_experiments=True, output_format="list")
    assert len(runs) == len(MODELS)
    assert all(np.isfinite(list(run.data.metrics.values())).all() for run in runs)


def test_never_predicted_class_beside_perfect_model(tracked: Path, images_8x8: Dataset) -> None:
    some = images_8x8.take(np.arange(400))
    bright = Dataset((some.images * 15).astype(np.uint8), some.labels)
    write_data(bright, classes=10, absent_from_holdout=9)
    weights, bias = perfect_weights(bright)
    write_model("cnn", bright, weights=weights, bias=bias)
    write_model("mlp", bright, weights=np.zeros_like(weights), bias=np.eye(10)[0])

    page = run_stages()
    comparison = read_json(WORKSPACE.comparison, dict)
    mlp, cnn = comparison["models"]
    assert (mlp["test_balanced_accuracy"], cnn["test_accuracy"]) == (pytest.approx(0.1), 1)
    choice, as_good, better, *doubts = comparison["verdicts"]
    assert as_good.startswith("mlp is not shown to be better than the baseline (colour histogram)")
    assert better.startswith("cnn is better than the baseline (colour histogram): 100.0 % against")
    assert choice.startswith("cnn is the choice: ")
    assert "right on few of the training rows" in doubts[0]
    assert any(line.startswith("cnn gains ") for line in doubts)
    assert 'title="class 9 never predicted">n/a</td>' in page
    assert 'title="class 9 absent">n/a</td>' in page


def test_rows_of_five_writers_prove_nothing(tracked: Path, images_8x8: Dataset) -> None:
    some = images_8x8.take(np.arange(400))
    bright = Dataset((some.images * 15).astype(np.uint8), some.labels, np.arange(400) // 80)
    write_data(bright, classes=10, absent_from_holdout=-1)
    weights, bias = perfect_weights(bright)
    write_model("cnn", bright, weights=weights, bias=bias)
    write_model("mlp", bright, weights=weights, bias=bias + 20 * np.eye(10)[0])

    page = run_stages()
    comparison = read_json(WORKSPACE.comparison, dict)
    assert comparison["pairs"][0]["p_value"] is None
    assert "too few groups" in page
    overall = WORKSPACE.evaluated("cnn").read_statistics()["test"]["overall"]
    assert (overall["accuracy"], overall["accuracy_upper"]) == (1, 1)
    assert overall["accuracy_lower"] < 0.95  # of 100 independent rows 0.964


def test_thirty_classes_of_which_three_each_look_alike(tracked: Path, images_8x8: Dataset) -> None:
    thirds = images_8x8.labels * 3 + np.arange(len(images_8x8)) % 3
    data = Dataset((images_8x8.images * 15).astype(np.uint8), thirds)
    write_data(data, classes=30, absent_from_holdout=-1)
    pixels = data.images.reshape(len(data), -1) / 255
    fitted = LogisticRegression(C=0.1, max_iter=200).fit(pixels, thirds)
    for model in MODELS:
        write_model(model, data, weights=fitted.coef_.T, bias=fitted.intercept_)

    run_stages()
    comparison = read_json(WORKSPACE.comparison, dict)
    mlp = comparison["models"][0]
    assert mlp["test_accuracy"] < 0.6 < 0.9 < mlp["test_top5_accuracy"] < 1
    cells = pd.read_csv(WORKSPACE.confusion).query("model == 'mlp' and prediction == reference")
    assert np.count_nonzero(np.diff(cells["reference"] // 3)) == 9  # neighbours look alike
