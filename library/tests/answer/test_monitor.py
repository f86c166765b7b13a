"""Watching a model at work: drift, and its accuracy: expected, and on labels that come later."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import mlflow
import numpy as np
import pandas as pd
import pytest
from arena import accept, fighter, log_matrix, promote
from example import NAME, context, project_with, write_params
from helpers import finding, record_outputs
from mlflow import MlflowClient

from imageproof.answer import _monitor as monitoring
from imageproof.artifacts import WORKSPACE
from imageproof.base._dataset import Dataset, Split, save_split
from imageproof.base.errors import DataError
from imageproof.cli import _answers as cli
from imageproof.judge._groups import Intervals
from imageproof.registry._version import load_version
from imageproof.registry._versions import find

NOW = datetime(2025, 11, 26, 12, tzinfo=UTC)
MODEL = f"models:/{NAME}/1"
NAMES = [f"<{label}>" for label in range(10)]


def write_log(images, predicted, *, at=NOW, model=f"{NAME} 1", size=1, server=""):
    """One file of a service: a row per image, a microsecond apart, newest first; returns times."""
    times = pd.date_range(at, periods=len(images), freq="us")
    pixels = [image.tobytes() for image in images]
    answers = {"predicted": predicted, "set_size": size, "model": model}
    path = Path("log", server, f"{at:%Y-%m-%d}/{at:%H%M%S}-1-0.parquet")
    path.parent.mkdir(parents=True, exist_ok=True)
    pd.DataFrame({"at": times, "image": pixels, **answers})[::-1].to_parquet(path, index=False)
    return times


def save_splits(**splits):
    for name, data in splits.items():
        save_split(WORKSPACE.split(name), Split(data, np.arange(len(data))))
    record_outputs()


def test_log_counts_last_days_of_one_version(holdout, capsys):
    images, labels = holdout.images, holdout.labels
    write_log(images[:300], labels[:300], size=3)
    write_log(images[300:340], labels[300:340], at=NOW - timedelta(hours=23))
    # the last of these rows is a day older than the newest row of all, to the microsecond
    write_log(images[340:390], labels[340:390], at=NOW - timedelta(days=1, microseconds=-250))
    write_log(images[390:400], labels[390:400], at=NOW - timedelta(hours=1), model="x 9")
    # a folder of another server, whose newest row is older
    write_log(images[:1], labels[:1], at=NOW - timedelta(days=9), server="z")
    cli.monitor(context(), Path("log"), as_json=True)
    result = json.loads(capsys.readouterr().out)
    assert (result["rows"], result["other_rows"], result["model"]) == (340, 10, MODEL)
    assert result["unsure"] == pytest.approx(300 / 340)  # sets of three are no answer
    names = {comparison["name"] for comparison in result["drift"]}
    assert names == {"mean_ink", "contrast", "class_shares", "features"}
    cli.monitor(context(), Path("log"), days=2)
    assert f"390 rows by {MODEL}, 10 by other versions left out" in capsys.readouterr().out


def test_accuracy_of_labels(watch, holdout):
    images, labels = holdout.images[:400], holdout.labels[:400]
    times = write_log(images, np.where(np.arange(400) < 40, (labels + 1) % 10, labels))
    table = pd.DataFrame({"label": labels, "at": times, "who": "Ada"})
    table.to_csv("labels.csv", index=False)
    result = watch(labels=Path("labels.csv")).result
    assert (result.accuracy["rows"], result.accuracy["value"]) == (400, 0.9)
    assert 0.86 < result.accuracy["lower"] < 0.9 < result.accuracy["upper"] < 0.93
    assert "accuracy" in result.drifted
    for writers, names in ((3, {"accuracy"}), (1, set())):  # all errors are those of one
        rows = Intervals(np.arange(500) > 4, np.arange(500) * writers // 500).effective()
        run_id = find(MODEL).run_id
        MlflowClient().log_metric(run_id, "holdout_independent_rows", rows, step=-writers)
        result = watch(labels=Path("labels.csv")).result
        assert {drift.name for drift in result.drift} & {"accuracy"} == names
        assert "accuracy" not in result.drifted
    table.loc[50, "at"] += pd.Timedelta(days=2)
    table[:51].to_csv("labels.csv", index=False)
    result = watch(labels=Path("labels.csv")).result
    assert (result.accuracy["rows"], result.accuracy["unmatched"]) == (50, 1)
    assert monitoring.verdicts(result)[-1].endswith("; labels of no answered row: 1.")
    # servers that answer at once: each has ten of these times
    write_log(images[:10], labels[:10], at=times[20].to_pydatetime(), server="b")
    write_log(images[:10], labels[:10], at=times[49].to_pydatetime(), model="x 9", server="c")
    result = watch(labels=Path("labels.csv")).result
    assert (result.rows, result.accuracy["rows"], result.accuracy["unmatched"]) == (410, 39, 12)


def test_accuracy_is_that_of_random_rows(watch, holdout):
    """The others were chosen, as the model finds them hard: it errs on all of them."""
    images, labels = holdout.images[:200], holdout.labels[:200]
    is_random = np.arange(200) >= 100
    times = write_log(images, np.where(is_random, labels, (labels + 1) % 10))
    table = {"at": times, "label": labels, "random": is_random}
    pd.DataFrame(table).to_csv("labels.csv", index=False)
    result = watch(labels=Path("labels.csv")).result
    assert (result.accuracy["rows"], result.accuracy["value"]) == (100, 1)
    assert "accuracy" not in result.drifted


def test_model_that_is_often_wrong_is_no_drift(watch, holdout):
    """It calls half of the classes 0, on the hold-out and in service."""
    labels = holdout.labels
    predicted = np.where(labels < 5, 0, labels)
    run = fighter()
    promote(run, accept)
    write_log(holdout.images, predicted, model=f"{NAME} 2")
    for answers, is_drift in ((labels, True), (predicted, False)):
        log_matrix(run.run_id, answers, labels)
        assert ("class_shares" in watch().result.drifted) == is_drift


def test_accuracy_is_expected_only_without_drift(watch, ring):
    known = WORKSPACE.read_split("holdout").data
    save_splits(train=known, validation=known)
    promote(fighter(), accept)
    with load_version(MODEL, threads=2) as model:
        confidence = model.predict(known.images).max(axis=1).mean()
    np.savez("new.npz", images=known.images)
    rows = pd.DataFrame({"row": range(0, 100, 2), "label": known.labels[:100:2]})
    rows.to_csv("labels.csv", index=False)
    monitored = watch("new.npz", labels=Path("labels.csv"))
    result = monitored.result
    assert (result.rows, result.unsure, result.drifted) == (len(known), 0, [])
    assert (result.accuracy["rows"], result.accuracy["value"]) == (50, 1)
    assert result.expected == pytest.approx(confidence)
    assert f"expect an accuracy of {100 * confidence:.1f} %" in monitoring.render(monitored)
    np.savez("new.npz", images=255 - known.images)
    result = watch("new.npz").result
    assert (bool(result.drifted), result.expected) == (True, None)
    assert monitoring.verdicts(result)[-1].startswith("No accuracy is expected without labels: ")


def test_run_and_page_of_colour(watch, ring):
    random = np.random.default_rng(0)
    images, new = random.integers(0, 256, (2, 900, 8, 8, 3), dtype=np.uint8)
    labels = np.arange(900) % 10
    known = Dataset(images, labels)
    save_splits(train=known, validation=known, holdout=Dataset(new, labels))
    write_params({"data.class_names": NAMES})
    promote(fighter(shape=(8, 8, 3)), accept)
    times = write_log(images[:300], labels[:300])
    names = [NAMES[label] for label in labels[:300]]
    pd.DataFrame({"label": names, "at": times}).to_csv("labels.csv", index=False)
    monitored = watch(labels=Path("labels.csv"))
    result = monitored.result
    assert result.drifted == ["features"]  # nearer than any, as it knows these images
    assert np.shape(monitored.farthest) == (24, 8, 8, 3)
    page = monitoring.render(monitored)
    assert page.count("data:image/png") == 24
    assert "&lt;3&gt;" in page
    Path("page.html").touch()
    monitoring.log_run(result, Path("page.html"), project_with({}))
    [run] = mlflow.search_runs(experiment_names=[f"{NAME}-monitoring"], output_format="list")
    metrics = run.data.metrics
    assert (metrics["rows"], metrics["far"], metrics["accuracy"]) == (300, result.far, 1)
    assert run.data.tags["imageproof.drifted"] == "features"
    [artifact] = MlflowClient().list_artifacts(run.info.run_id)
    assert artifact.path == "page.html"


def test_drift_is_known_in_part_after_a_corrected_label(watch, holdout):
    write_log(holdout.images, holdout.labels)
    with WORKSPACE.split("holdout").open("ab") as file:
        file.write(b"0")
    result = watch().result
    assert result.expected is None
    line = "artifacts/split: holdout: not as when this version was made, so drift is known "
    assert f"{line}only in part" in result.warnings


def test_without_the_splits_of_the_model(watch, holdout):
    times = write_log(holdout.images, holdout.labels)
    WORKSPACE.split("train").unlink()
    with WORKSPACE.split("validation").open("ab") as file:
        file.write(b"0")
    pd.DataFrame({"label": holdout.labels, "at": times}).to_csv("labels.csv", index=False)
    monitored = watch(labels=Path("labels.csv"))
    result = monitored.result
    assert [comparison.name for comparison in result.drift] == ["accuracy"]
    assert (result.expected, result.far, monitored.farthest) == (None, None, [])
    assert result.drifted == []
    first, second = monitoring.verdicts(result)
    assert first.startswith("Drift of images is not known: ")
    assert second.startswith("Accuracy 100.00 % on ")


def test_no_row_of_this_version_or_with_a_label(watch, holdout):
    times = write_log(holdout.images[:9], holdout.labels[:9], model=f"{NAME} 7")
    assert "--model names another" in finding(DataError, watch)
    write_log(holdout.images[:9], holdout.labels[:9])
    pd.DataFrame({"label": 1, "at": [times[0] - timedelta(days=9)]}).to_csv("labels.csv")
    line = finding(DataError, watch, labels=Path("labels.csv"))
    assert line == "labels.csv column at: names no row of log that was answered"


def test_page_says_what_is_compared_with_what(watch, holdout):
    write_log(holdout.images, holdout.labels)
    page = monitoring.render(watch())
    assert "the shares of the predicted classes with those of the hold-out rows" in page
    assert "The features were not compared" not in page
    WORKSPACE.split("validation").unlink()
    page = monitoring.render(watch())
    assert "The features were not compared: the model has none, or artifacts/split is not " in page
