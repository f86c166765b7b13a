"""Watching a model at work: logs of its service, labels that arrive later, and hostile files."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace

import mlflow
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from arena import NAME, accept, fighter
from mlflow import MlflowClient
from scipy.stats import binom
from support import changed, finding

from digits import params as parameters
from digits.core.artifacts import MONITOR, read_split
from digits.core.errors import DataError
from digits.registry import promotion
from digits.registry.served import served
from digits.reporting.page.monitor import render_monitor
from digits.scoring import logged, parquet
from digits.scoring import monitor as monitoring
from digits.scoring.logged import COLUMNS, is_log, open_log
from digits.serving.journal import Journal

NOW = datetime(2026, 11, 26, 12, tzinfo=UTC)
MODEL, TITLE = f"models:/{NAME}/1", f"{NAME} 1"


def write_log(images, predicted, *, at=NOW, model=TITLE, sizes=1, folder="log"):
    """One file, as a service writes it: a row per image, a microsecond apart; returns the times."""
    times = [at + timedelta(microseconds=row) for row in range(len(images))]
    values = {
        "at": pa.array(times, COLUMNS["at"]),
        "image": pa.array([image.tobytes() for image in images], COLUMNS["image"]),
        "predicted": pa.array(predicted, COLUMNS["predicted"]),
        "p0": pa.array(np.zeros(len(images), np.float32)),
        "set_size": pa.array([sizes] * len(images), COLUMNS["set_size"]),
        "model": pa.array([model] * len(images)).cast(COLUMNS["model"]),
    }
    path = Path(folder, f"{at:%Y-%m-%d}", f"{at:%H%M%S}-1-0.parquet")
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table(values), path)
    return times


def watch(source="log", labels=None, days=1):
    source = Path(source)
    log = open_log(source, days=days) if is_log(source) else None
    params = parameters.check(changed({}))
    with served(f"models:/{NAME}@champion", threads=2) as model:
        labelled = Path(labels) if labels else None
        return monitoring.monitor(source, log, labelled, model, params=params)


@pytest.fixture(autouse=True)
def champion(ring):
    run = fighter()
    for name, value in (("accuracy", 0.99), ("rows", 500), ("unsure", 0.01)):
        MlflowClient().log_metric(run.run_id, f"holdout_{name}", value)
    promotion.promote(run, NAME, judge=accept)


@pytest.fixture
def holdout():
    return read_split("holdout").data


def test_the_last_days_of_a_log_count_and_the_rows_of_one_version(holdout):
    images, labels = holdout.images, holdout.labels
    write_log(images[:300], labels[:300], sizes=3)
    write_log(images[300:340], labels[300:340], at=NOW - timedelta(hours=23))
    write_log(images[340:390], labels[340:390], at=NOW - timedelta(hours=25))
    write_log(images[390:400], labels[390:400], at=NOW - timedelta(hours=1), model="x 9")
    result = watch().result
    assert (result.rows, result.other_rows) == (340, 10)
    assert result.unsure == pytest.approx(300 / 340)  # sets of three are no answer
    assert result.class_counts == np.bincount(labels[:340], minlength=10).tolist()
    assert {drift.name for drift in result.drift} == {
        *("mean_ink", "contrast", "class_shares", "features")
    }
    assert watch(days=2).result.rows == 390
    assert open_log(Path("log"), days=1).model == MODEL


def test_labels_that_arrive_later_give_the_accuracy_beside_the_holdouts(holdout):
    images, labels = holdout.images[:400], holdout.labels[:400]
    predicted = np.where(np.arange(400) < 40, (labels + 1) % 10, labels)
    times = write_log(images, predicted)
    pd.DataFrame({"label": labels, "at": times, "who": "Ada"}).to_csv("labels.csv", index=False)
    result = watch(labels="labels.csv").result
    assert result.accuracy is not None
    assert result.accuracy[:3] == (400, 360, 0.9)
    # outside the interval, 360 right ones or more, or fewer, have a chance below 2.5 %
    assert binom.sf(359, 400, result.accuracy.lower) == pytest.approx(0.025)
    assert binom.cdf(360, 400, result.accuracy.upper) == pytest.approx(0.025)
    assert result.holdout == {"accuracy": 0.99, "rows": 500, "unsure": 0.01}
    assert "accuracy" in result.drifted
    pd.DataFrame({"at": times[:50], "label": labels[:50]}).to_parquet("labels.parquet")
    assert watch(labels="labels.parquet").result.accuracy[:2] == (50, 10)


def test_any_input_is_answered_and_labelled_by_its_rows(holdout):
    np.savez("new.npz", images=holdout.images)
    rows = pd.DataFrame({"row": range(0, 100, 2), "label": holdout.labels[:100:2]})
    rows.to_csv("labels.csv", index=False)
    result = watch("new.npz", labels="labels.csv").result
    assert result.rows == len(holdout)
    assert result.accuracy is not None
    assert result.accuracy[:2] == (50, 50)
    assert result.unsure is not None


def test_the_run_has_the_figures_and_the_page(holdout):
    write_log(holdout.images, holdout.labels)
    monitored = watch()
    page = render_monitor(monitored, names=[f"<{k}>" for k in range(10)])
    assert page.count("data:image/png") == 2
    assert "&lt;3&gt;" in page
    MONITOR.parent.mkdir(parents=True, exist_ok=True)
    MONITOR.write_text(page, encoding="utf-8")
    project = parameters.check(changed({})).project
    monitoring.log_run(monitored.result, MONITOR, project)
    [run] = mlflow.search_runs(experiment_names=[f"{NAME}-monitoring"], output_format="list")
    assert run.data.metrics["rows"] == len(holdout)
    assert run.data.metrics["far"] == monitored.result.far
    assert "drift_features_p_value" in run.data.metrics
    assert run.data.tags["drifted"] == ", ".join(monitored.result.drifted)
    artifacts = MlflowClient().list_artifacts(run.info.run_id)
    assert [artifact.path for artifact in artifacts] == [MONITOR.name]
    json.dumps(monitored.result.as_dict(), allow_nan=False)


def test_without_the_models_splits_only_the_answers_are_told(holdout):
    write_log(holdout.images, holdout.labels)
    for name in ("train", "validation"):
        Path("artifacts/split", f"{name}.npz").unlink()
    monitored = watch()
    assert (monitored.result.drift, monitored.result.far, monitored.features) == ([], None, None)
    assert "Drift is not known" in render_monitor(monitored, names=[*"0123456789"])


def test_a_file_that_vanishes_meanwhile_is_left_out(holdout):
    write_log(holdout.images[:50], holdout.labels[:50])
    write_log(holdout.images[:60], holdout.labels[:60], at=NOW + timedelta(hours=1))
    log = open_log(Path("log"), days=1)
    log.files[0].unlink()
    with served(f"models:/{NAME}@champion", threads=2) as model:
        params = parameters.check(changed({}))
        assert monitoring.monitor(Path("log"), log, None, model, params=params).result.rows == 60


def replaced(name, values):
    """Rewrite the only file of the log with another column."""
    [path] = Path("log").rglob("*.parquet")
    table = pq.read_table(path)
    at = table.column_names.index(name)
    pq.write_table(table.set_column(at, name, values), path)


@pytest.mark.parametrize(
    ("name", "values", "says"),
    [
        ("image", pa.array([b"x"] * 9, pa.binary()), "column image: 1 bytes; the model takes 8×8"),
        ("image", pa.array(["x"] * 9), "column image: string; a service's log has binary"),
        ("image", pa.array([None] * 9, pa.binary()), "column image: an empty cell"),
        ("predicted", pa.array([10] * 9, pa.int16()), "column predicted: 10 is outside 0..9"),
        ("at", pa.array([None] * 9, COLUMNS["at"]), "column at: an empty cell"),
        ("at", pa.array([2**62] * 9, COLUMNS["at"]), "column at: a time outside 1970…2200"),
    ],
)
def test_a_hostile_log_is_one_line(holdout, name, values, says):
    write_log(holdout.images[:9], holdout.labels[:9])
    replaced(name, values)
    line = finding(DataError, watch)
    assert line.startswith("log/2026-11-26/")
    assert says in line


@pytest.mark.parametrize("damage", ["cut", "noise", "text", "empty"])
def test_a_damaged_log_is_one_line(holdout, damage):
    write_log(holdout.images[:500], holdout.labels[:500])
    [path] = Path("log").rglob("*.parquet")
    content = bytearray(path.read_bytes())
    content[200:3000] = b"\xff" * 2800
    damaged = {"cut": content[:5000], "noise": content, "text": b"at,image\n", "empty": b""}
    path.write_bytes(bytes(damaged[damage]))
    assert finding(DataError, watch).startswith(f"{path}: cannot be read as Parquet: ")


def test_a_log_of_more_rows_than_a_service_writes_is_refused(holdout, monkeypatch):
    monkeypatch.setattr(logged, "MAX_ROWS", 8)
    write_log(holdout.images[:9], holdout.labels[:9])
    assert finding(DataError, watch).endswith(": 9 rows; at most 8 a file are allowed")


def test_all_days_of_a_log_may_be_asked_for(holdout):
    write_log(holdout.images[:9], holdout.labels[:9])
    assert watch(days=36_500).result.rows == 9


def test_a_log_that_unpacks_to_far_more_than_its_size_is_refused(holdout):
    path = Path("log", "2026-11-26", "bomb.parquet")
    path.parent.mkdir(parents=True)
    count = 300_000
    values = {
        "at": pa.array([NOW] * count, COLUMNS["at"]),
        "image": pa.array([bytes(1000)] * count, COLUMNS["image"]),
        "predicted": pa.array(np.zeros(count, np.int16)),
        "set_size": pa.array(np.zeros(count, np.int16)),
        "model": pa.array([TITLE] * count).cast(COLUMNS["model"]),
    }
    pq.write_table(pa.table(values), path, compression="zstd", use_dictionary=["model"])
    assert "unpacks to over 256 MB" in finding(DataError, watch)


def test_values_that_the_file_has_once_for_many_rows_are_not_all_unpacked(holdout, monkeypatch):
    monkeypatch.setattr(parquet, "MAX_BATCH", 1 << 20)
    write_log(np.zeros((1000, 40, 50), np.uint8), holdout.labels[:1000])
    [path] = Path("log").rglob("*.parquet")
    assert path.stat().st_size < 20_000
    says = "1000 values have more than 1 MB; at most that is allowed"
    assert finding(DataError, watch) == f"{path}: cannot be read as Parquet: {says}"
    monkeypatch.setattr(parquet, "MAX_TEXTS", 1000)
    assert finding(DataError, watch).endswith("column image has 0 MB in a row group; at most 0 MB")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("at,label\n", "no row; at least one label is needed"),
        ("row,label\n1,2\n", "labels.csv: cannot be read as labels: "),
        ("at,label\n2026-11-26T12:00:00Z,3\n2026-11-26T12:00:00Z,4\n", "1 values occur twice"),
        ("at,label\n2026-11-26T12:00:00Z,10\n", "column label: 10 is outside 0..9"),
        ("at,label\n2026-11-26T12:00:00Z,three\n", "labels.csv: cannot be read as labels: "),
        ("at,label\n2026-11-26T12:00:00Z,\n", "an empty cell; each row needs at and label"),
        ("at,label\n2020-11-26T12:00:00Z,1\n", "column at: names no row of log"),
    ],
)
def test_bad_labels_are_one_line(holdout, text, says):
    write_log(holdout.images[:9], holdout.labels[:9])
    Path("labels.csv").write_text(text, encoding="utf-8")
    assert says in finding(DataError, lambda: watch(labels="labels.csv"))


def test_a_log_of_another_version_names_the_way_out(holdout):
    write_log(holdout.images[:9], holdout.labels[:9], model="digits 7")
    line = finding(DataError, watch)
    assert line == f"log: no row answered by {MODEL}; --model names another"


def test_what_a_service_logs_is_read(holdout):
    description = SimpleNamespace(title=TITLE, shape=(8, 8), confidence=None)
    images, labels = holdout.images[:70], holdout.labels[:70]
    with Journal(Path("log"), description) as journal:
        at = journal.add(images, np.eye(10, dtype=np.float32)[labels])
    pd.DataFrame({"at": at, "label": labels}).to_parquet("labels.parquet")
    result = watch(labels="labels.parquet").result
    assert (result.rows, result.unsure, result.model) == (70, None, MODEL)
    assert result.accuracy[:2] == (70, 70)
