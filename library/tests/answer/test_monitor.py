"""Watching a model at work: drift, and its accuracy: expected, and on labels that come later."""

import json
import shutil
from dataclasses import replace
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
from imageproof.base._dataset import Split, save_split
from imageproof.base.errors import DataError
from imageproof.cli import _answers as cli
from imageproof.registry._version import load_version
from imageproof.registry._versions import find

NOW = datetime(2025, 11, 26, 12, tzinfo=UTC)
MODEL = f"models:/{NAME}/1"
LABELS = Path("labels.csv")


def write_log(data, *, at=NOW, back=timedelta(), model=f"{NAME} 1", size=1, server=""):
    """One file of a service: a row per image, a microsecond apart, newest first; returns times.

    The answers are the labels of the `data`.
    """
    at -= back
    times = pd.date_range(at, periods=len(data), freq="us")
    pixels = [image.tobytes() for image in data.images]
    answers = {"predicted": data.labels, "set_size": size, "model": model}
    answers["server"] = ord(server or "a")
    path = Path("log", server, f"{at:%Y-%m-%d}/{at:%H%M%S}-1-0.parquet")
    path.parent.mkdir(parents=True, exist_ok=True)
    pd.DataFrame({"at": times, "image": pixels, **answers})[::-1].to_parquet(path, index=False)
    return times


def write_labels(**columns):
    pd.DataFrame(columns).to_csv(LABELS, index=False)


def test_log_counts_last_days_of_one_version(holdout, capsys):
    def write(start, end, **options):
        write_log(holdout.take(np.arange(start, end)), **options)

    write(0, 300, size=3)
    write(300, 340, back=timedelta(hours=23))
    # the last of these rows is a day older than the newest row of all, to the microsecond
    write(340, 390, back=timedelta(days=1, microseconds=-250))
    write(390, 400, back=timedelta(hours=1), model="x 9")
    # a folder of another server, whose newest row is older
    write(0, 1, back=timedelta(days=9), server="z")
    cli.monitor(context(), Path("log"), as_json=True)
    result = json.loads(capsys.readouterr().out)
    assert (result["rows"], result["other_rows"], result["model"]) == (340, 10, MODEL)
    assert result["unsure"] == pytest.approx(300 / 340)  # sets of three are no answer
    names = {comparison["name"] for comparison in result["drift"]}
    assert names == {"mean_ink", "contrast", "class_shares", "features"}


def test_accuracy_of_labels(watch, holdout):
    data = holdout.take(np.arange(400))
    times = write_log(replace(data, labels=(data.labels + (np.arange(400) < 40)) % 10))
    write_labels(label=data.labels, at=times, who="Ada")
    result = watch(labels=LABELS).result
    assert (result.accuracy["rows"], result.accuracy["value"]) == (400, 0.9)
    assert 0.86 < result.accuracy["lower"] < 0.9 < result.accuracy["upper"] < 0.93
    assert "accuracy" in result.drifted
    run_id = find(MODEL).run_id
    for rows, names in ((20.7, {"accuracy"}), (0, set())):  # of three writers, and of one
        mlflow.log_metric("holdout_independent_rows", rows, run_id=run_id)
        result = watch(labels=LABELS).result
        assert {drift.name for drift in result.drift} & {"accuracy"} == names
        assert "accuracy" not in result.drifted


def test_labels_are_of_rows_whose_time_no_other_row_has(watch, holdout):
    times = write_log(holdout)
    write_labels(label=holdout.labels[:51], at=[*times[:50], NOW + timedelta(days=2)])
    monitored = watch(labels=LABELS)
    assert monitored.result.accuracy.items() >= {"rows": 50, "value": 1, "unmatched": 1}.items()
    lines = monitoring.verdicts(monitored.result)
    assert "The newest row of the log is of 2025-11-26 12:00 UTC." in lines
    assert lines[-1].endswith("; labels of other rows: 1.")
    # a server whose clock was put back, and one that answers at once: ten of these times each
    ten = holdout.take(np.arange(10))
    write_log(ten, at=times[21].to_pydatetime(), server="a")
    write_log(ten, at=times[49].to_pydatetime(), model="x 9", server="c")
    result = watch(labels=LABELS).result
    assert result.rows == len(holdout) + 10
    assert result.accuracy.items() >= {"rows": 39, "unmatched": 12}.items()
    shutil.copytree("log/a", "log/backup")
    assert finding(DataError, watch).startswith("log: has rows twice; ")


def test_model_that_is_often_wrong_is_no_drift(watch, holdout):
    """It calls half of the classes 0, on the hold-out and in service."""
    labels = holdout.labels
    predicted = np.where(labels < 5, 0, labels)
    run = fighter()
    promote(run, accept)
    write_log(replace(holdout, labels=predicted), model=f"{NAME} 2")
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
    write_labels(row=range(0, 100, 2), label=holdout.labels[:100:2])
    monitored = watch("new.npz", labels=LABELS)
    result = monitored.result
    assert (result.rows, result.unsure, result.drifted) == (len(holdout), 0, [])
    assert (result.accuracy["rows"], result.accuracy["value"]) == (50, 1)
    assert result.expected == pytest.approx(confidence)
    assert f"expect an accuracy of {100 * confidence:.2f} %" in monitoring.render(monitored)
    np.savez("new.npz", images=255 - holdout.images)
    result = watch("new.npz", labels=LABELS).result
    assert (bool(result.drifted), result.expected) == (True, None)
    sentence = "No accuracy is expected without labels: "
    assert sentence not in str(monitoring.verdicts(result))
    assert sentence in str(monitoring.verdicts(replace(result, accuracy=None)))


def test_run_and_page(watch, ring):
    classes = [f"<{label}>" for label in range(10)]
    write_params({"data.class_names": classes})
    promote(fighter(), accept)
    holdout = WORKSPACE.read_split("holdout").data
    times = write_log(holdout)
    write_labels(label=[classes[label] for label in holdout.labels], at=times)
    monitored = watch(labels=LABELS)
    page = monitoring.render(monitored)
    assert page.count("data:image/png") == 24
    assert "&lt;3&gt;" in page
    Path("page.html").touch()
    monitoring.log_run(monitored.result, Path("page.html"), project_with({}))
    [run] = mlflow.search_runs(experiment_names=[f"{NAME}-monitoring"], output_format="list")
    figures = {"rows": len(holdout), "far": 0, "accuracy": 1}  # all are known
    assert run.data.metrics.items() >= figures.items()
    assert run.data.tags["imageproof.drifted"] == ", ".join(monitored.result.drifted)
    [artifact] = MlflowClient().list_artifacts(run.info.run_id)
    assert artifact.path == "page.html"


def test_without_the_splits_of_the_model(watch, holdout):
    times = write_log(holdout)
    WORKSPACE.split("train").unlink()
    with WORKSPACE.split("validation").open("ab") as file:
        file.write(b"0")
    write_labels(label=holdout.labels, at=times)
    monitored = watch(labels=LABELS)
    result = monitored.result
    assert [comparison.name for comparison in result.drift] == ["accuracy"]
    assert (result.expected, result.far, monitored.farthest) == (None, None, [])
    assert result.warnings[0].startswith("artifacts/split: train, validation: not as when this ")
    first, _newest, second = monitoring.verdicts(result)
    assert first.startswith("Drift of images is not known: ")
    assert "<td>500</td>" in monitoring.render(monitored)  # the rows of the hold-out
    assert second.startswith("Accuracy 100.00 % on ")
