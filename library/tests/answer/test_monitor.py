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
from helpers import record_outputs
from mlflow import MlflowClient

from imageproof.answer import _monitor as monitoring
from imageproof.artifacts import WORKSPACE
from imageproof.base._dataset import Split, save_split
from imageproof.cli import _answers as cli
from imageproof.judge._groups import Intervals
from imageproof.registry._version import load_version
from imageproof.registry._versions import find

NOW = datetime(2025, 11, 26, 12, tzinfo=UTC)
MODEL = f"models:/{NAME}/1"
LABELS = Path("labels.csv")


def write_log(images, predicted, *, at=NOW, model=f"{NAME} 1", size=1, server=""):
    """One file of a service: a row per image, a microsecond apart, newest first; returns times."""
    times = pd.date_range(at, periods=len(images), freq="us")
    pixels = [image.tobytes() for image in images]
    answers = {"predicted": predicted, "set_size": size, "model": model}
    path = Path("log", server, f"{at:%Y-%m-%d}/{at:%H%M%S}-1-0.parquet")
    path.parent.mkdir(parents=True, exist_ok=True)
    pd.DataFrame({"at": times, "image": pixels, **answers})[::-1].to_parquet(path, index=False)
    return times


def test_log_counts_last_days_of_one_version(holdout, capsys):
    images = holdout.images
    labels = holdout.labels
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


def test_accuracy_of_labels(watch, holdout):
    images = holdout.images[:400]
    labels = holdout.labels[:400]
    times = write_log(images, np.where(np.arange(400) < 40, (labels + 1) % 10, labels))
    table = pd.DataFrame({"label": labels, "at": times, "who": "Ada"})
    table.to_csv(LABELS, index=False)
    result = watch(labels=LABELS).result
    assert (result.accuracy["rows"], result.accuracy["value"]) == (400, 0.9)
    assert 0.86 < result.accuracy["lower"] < 0.9 < result.accuracy["upper"] < 0.93
    assert "accuracy" in result.drifted
    for writers, names in ((3, {"accuracy"}), (1, set())):  # all errors are those of one
        rows = Intervals(np.arange(500) > 4, np.arange(500) * writers // 500).effective()
        run_id = find(MODEL).run_id
        MlflowClient().log_metric(run_id, "holdout_independent_rows", rows, step=-writers)
        result = watch(labels=LABELS).result
        assert {drift.name for drift in result.drift} & {"accuracy"} == names
        assert "accuracy" not in result.drifted
    table.loc[50, "at"] += pd.Timedelta(days=2)
    table[:51].to_csv(LABELS, index=False)
    result = watch(labels=LABELS).result
    assert (result.accuracy["rows"], result.accuracy["unmatched"]) == (50, 1)
    newest, *_, labelled = monitoring.verdicts(result)[1:]
    assert newest == "The newest row of the log is of 2025-11-26 12:00 UTC."
    assert labelled.endswith("; labels of other rows: 1.")
    # servers that answer at once: each has ten of these times
    write_log(images[:10], labels[:10], at=times[20].to_pydatetime(), server="b")
    write_log(images[:10], labels[:10], at=times[49].to_pydatetime(), model="x 9", server="c")
    result = watch(labels=LABELS).result
    assert (result.rows, result.accuracy["rows"], result.accuracy["unmatched"]) == (410, 39, 12)


def test_accuracy_is_that_of_random_rows(watch, holdout):
    """The others were chosen, as the model finds them hard: it errs on all of them."""
    images = holdout.images[:200]
    labels = holdout.labels[:200]
    is_random = np.arange(200) >= 100
    times = write_log(images, np.where(is_random, labels, (labels + 1) % 10))
    table = {"at": times, "label": labels, "random": is_random}
    pd.DataFrame(table).to_csv(LABELS, index=False)
    result = watch(labels=LABELS).result
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
    holdout = WORKSPACE.read_split("holdout").data
    for name in ("train", "validation"):
        save_split(WORKSPACE.split(name), Split(holdout, np.arange(len(holdout))))
    record_outputs()
    promote(fighter(), accept)
    with load_version(MODEL, threads=2) as model:
        confidence = model.predict(holdout.images).max(axis=1).mean()
    np.savez("new.npz", images=holdout.images)
    rows = pd.DataFrame({"row": range(0, 100, 2), "label": holdout.labels[:100:2]})
    rows.to_csv(LABELS, index=False)
    monitored = watch("new.npz", labels=LABELS)
    result = monitored.result
    assert (result.rows, result.unsure, result.drifted) == (len(holdout), 0, [])
    assert (result.accuracy["rows"], result.accuracy["value"]) == (50, 1)
    assert result.expected == pytest.approx(confidence)
    assert f"expect an accuracy of {100 * confidence:.1f} %" in monitoring.render(monitored)
    np.savez("new.npz", images=255 - holdout.images)
    result = watch("new.npz").result
    assert (bool(result.drifted), result.expected) == (True, None)
    assert monitoring.verdicts(result)[-1].startswith("No accuracy is expected without labels: ")


def test_run_and_page(watch, ring):
    classes = [f"<{label}>" for label in range(10)]
    write_params({"data.class_names": classes})
    promote(fighter(), accept)
    holdout = WORKSPACE.read_split("holdout").data
    labels = holdout.labels[:300]
    times = write_log(holdout.images[:300], labels)
    names = [classes[label] for label in labels]
    pd.DataFrame({"label": names, "at": times}).to_csv(LABELS, index=False)
    monitored = watch(labels=LABELS)
    result = monitored.result
    assert np.shape(monitored.farthest) == (24, 8, 8)
    page = monitoring.render(monitored)
    assert page.count("data:image/png") == 24
    assert "&lt;3&gt;" in page
    Path("page.html").touch()
    monitoring.log_run(result, Path("page.html"), project_with({}))
    [run] = mlflow.search_runs(experiment_names=[f"{NAME}-monitoring"], output_format="list")
    metrics = run.data.metrics
    assert (metrics["rows"], metrics["far"], metrics["accuracy"]) == (300, 0, 1)  # all are known
    assert run.data.tags["imageproof.drifted"] == ", ".join(result.drifted)
    [artifact] = MlflowClient().list_artifacts(run.info.run_id)
    assert artifact.path == "page.html"


def test_without_the_splits_of_the_model(watch, holdout):
    times = write_log(holdout.images, holdout.labels)
    WORKSPACE.split("train").unlink()
    with WORKSPACE.split("validation").open("ab") as file:
        file.write(b"0")
    pd.DataFrame({"label": holdout.labels, "at": times}).to_csv(LABELS, index=False)
    monitored = watch(labels=LABELS)
    result = monitored.result
    assert [comparison.name for comparison in result.drift] == ["accuracy"]
    assert (result.expected, result.far, monitored.farthest) == (None, None, [])
    assert result.drifted == []
    assert result.warnings[0].startswith("artifacts/split: train, validation: not as when this ")
    first, _newest, second = monitoring.verdicts(result)
    assert first.startswith("Drift of images is not known: ")
    assert "<td>500</td>" in monitoring.render(monitored)  # the rows of the hold-out
    assert second.startswith("Accuracy 100.00 % on ")
