"""Watching a model at work: logs of its service, labels that arrive later, and hostile files."""

import json
import re
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from io import BytesIO
from pathlib import Path
from types import SimpleNamespace
from urllib.request import urlopen

import mlflow
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from arena import accept, fighter
from example import NAME, context, project_with
from helpers import finding, record_outputs
from mlflow import MlflowClient
from PIL import Image
from scipy.stats import binom

from imageproof.answer import drift
from imageproof.answer import monitor as monitoring
from imageproof.answer.logged import open_log, read_labels, read_log
from imageproof.artifacts import WORKSPACE
from imageproof.base.dataset import Dataset, Split, save_split
from imageproof.base.errors import DataError
from imageproof.cli import answers as cli
from imageproof.registry import promotion
from imageproof.registry.version import load_version
from imageproof.serve.journal import Journal

AT = pa.timestamp("us", "UTC")
NOW, FAR = datetime(2025, 11, 26, 12, tzinfo=UTC), datetime(2199, 1, 1, tzinfo=UTC)
MODEL, TITLE = f"models:/{NAME}/1", f"{NAME} 1"


def write_log(images, predicted, *, at=NOW, model=TITLE, sizes=1, folder="log"):
    """One file, as a service writes it: a row per image, a microsecond apart; returns the times."""
    times = [at + timedelta(microseconds=row) for row in range(len(images))]
    values = {
        "at": pa.array(times, AT),
        "image": pa.array([image.tobytes() for image in images], pa.binary()),
        "predicted": pa.array(predicted, pa.int16()),
        "p0": pa.array(np.zeros(len(images), np.float32)),
        "set_size": pa.array([sizes] * len(images), pa.int16()),
        "model": pa.array([model] * len(images)).cast(pa.dictionary(pa.int8(), pa.string())),
    }
    path = Path(folder, f"{at:%Y-%m-%d}", f"{at:%H%M%S}-1-0.parquet")
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table(values), path)
    return times


def watch(source="log", labels=None, days=1, **changes):
    source = Path(source)
    log = open_log(source, days=days)
    with load_version(f"models:/{NAME}@champion", threads=2) as model:
        labelled = Path(labels) if labels else None
        return monitoring.monitor(source, log, labelled, model, project=project_with(changes))


@pytest.fixture
def champion(ring):
    run = fighter()
    for name, value in (("accuracy", 0.99), ("rows", 500), ("unsure", 0.01)):
        MlflowClient().log_metric(run.run_id, f"holdout_{name}", value)
    promotion.promote(run, NAME, judge=accept)


@pytest.fixture
def holdout(champion):
    return WORKSPACE.read_split("holdout").data


def test_log_counts_last_days_of_one_version(holdout, capsys):
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
    cli.monitor(context(), Path("log"), as_json=True)
    assert json.loads(capsys.readouterr().out)["rows"] == 340
    assert open_log(Path("log"), days=1).model == MODEL


def test_accuracy_of_labels(holdout):
    images, labels = holdout.images[:400], holdout.labels[:400]
    predicted = np.where(np.arange(400) < 40, (labels + 1) % 10, labels)
    times = write_log(images, predicted)
    pd.DataFrame({"label": labels, "at": times, "who": "Ada"}).to_csv("labels.csv", index=False)
    result = watch(labels="labels.csv").result
    assert (result.accuracy["rows"], result.accuracy["value"]) == (400, 0.9)
    # outside the interval, 360 right ones or more, or fewer, have a chance below 2.5 %
    assert binom.sf(359, 400, result.accuracy["lower"]) == pytest.approx(0.025)
    assert binom.cdf(360, 400, result.accuracy["upper"]) == pytest.approx(0.025)
    assert result.holdout == {"accuracy": 0.99, "rows": 500, "unsure": 0.01}
    assert "accuracy" in result.drifted
    pd.DataFrame({"at": times[:50], "label": labels[:50]}).to_parquet("labels.parquet")
    found = watch(labels="labels.parquet").result
    assert (found.accuracy["rows"], found.accuracy["unmatched"]) == (50, 0)
    late = pd.DataFrame({"at": [times[0] + timedelta(days=2)] * 1, "label": [1]})
    pd.concat([pd.read_parquet("labels.parquet"), late]).to_parquet("labels.parquet")
    found = watch(labels="labels.parquet").result
    assert (found.accuracy["rows"], found.accuracy["unmatched"]) == (50, 1)
    assert monitoring.verdicts(found)[-1].endswith("; 1 label names no answered row.")


def test_npz_with_labels_by_row(holdout):
    np.savez("new.npz", images=holdout.images)
    rows = pd.DataFrame({"row": range(0, 100, 2), "label": holdout.labels[:100:2]})
    rows.to_csv("labels.csv", index=False)
    result = watch("new.npz", labels="labels.csv").result
    assert result.rows == len(holdout)
    assert (result.accuracy["rows"], result.accuracy["value"], result.unsure) == (50, 1, 0)


def test_accuracy_is_expected_only_without_drift(ring):
    known = WORKSPACE.read_split("holdout")
    for name in ("train", "validation"):
        save_split(WORKSPACE.split(name), known)
    record_outputs()
    promotion.promote(fighter(), NAME, judge=accept)
    images = known.data.images
    with load_version(f"models:/{NAME}@champion", threads=2) as model:
        confidence = model.predict(images).max(axis=1).mean()
    np.savez("new.npz", images=images)
    monitored = watch("new.npz")
    assert monitored.result.drifted == []
    assert monitored.result.expected == pytest.approx(confidence)
    line = f"expect an accuracy of {100 * confidence:.1f} %"
    assert line in monitoring.render(monitored)
    np.savez("new.npz", images=255 - images)
    monitored = watch("new.npz")
    assert monitored.result.drifted
    assert monitored.result.expected is None
    assert "No accuracy is expected" in monitoring.render(monitored)
    assert "%" not in monitoring.verdicts(monitored.result)[-1]


def test_run_and_page(holdout):
    write_log(holdout.images, holdout.labels)
    monitored = watch(**{"data.class_names": [f"<{k}>" for k in range(10)]})
    page = monitoring.render(monitored)
    assert page.count("data:image/png") == 24
    assert "&lt;3&gt;" in page
    WORKSPACE.monitor.parent.mkdir(parents=True, exist_ok=True)
    WORKSPACE.monitor.write_text(page, encoding="utf-8")
    monitoring.log_run(monitored.result, WORKSPACE.monitor, project_with({}))
    [run] = mlflow.search_runs(experiment_names=[f"{NAME}-monitoring"], output_format="list")
    assert run.data.metrics["rows"] == len(holdout)
    assert run.data.metrics["far"] == monitored.result.far
    assert run.data.metrics.get("expected_accuracy") == monitored.result.expected
    assert "drift_features_p_value" in run.data.metrics
    assert run.data.tags["imageproof.drifted"] == ", ".join(monitored.result.drifted)
    artifacts = MlflowClient().list_artifacts(run.info.run_id)
    assert [artifact.path for artifact in artifacts] == [WORKSPACE.monitor.name]
    json.dumps(asdict(monitored.result), allow_nan=False)


def test_colour(ring):
    random = np.random.default_rng(0)
    images = random.integers(0, 256, (900, 8, 8, 3), dtype=np.uint8)
    others = random.integers(0, 256, (900, 8, 8, 3), dtype=np.uint8)
    for name in ("train", "validation", "holdout"):
        data = Dataset(others if name == "holdout" else images, np.arange(900) % 10)
        save_split(WORKSPACE.split(name), Split(data, np.arange(900)))
    record_outputs()
    promotion.promote(fighter(shape=(8, 8, 3)), NAME, judge=accept)
    write_log(images[:300], np.arange(300) % 10)
    monitored = watch()
    assert monitored.result.drifted == ["features"]  # nearer than any, as it knows these images
    assert {each.name for each in monitored.result.drift} >= {"mean_ink", "contrast", "features"}
    assert np.array_equal(np.shape(monitored.farthest), (24, 8, 8, 3))
    with urlopen(re.search('data:image/png[^"]*', monitoring.render(monitored))[0]) as png:
        assert (np.asarray(Image.open(BytesIO(png.read()))) == images).all(axis=(1, 2, 3)).any()
    with load_version(MODEL, threads=1) as model:
        replaced("image", pa.array([bytes(64)] * 300))
        log = open_log(Path("log"), days=1)
        assert "no image of 8×8×3" in finding(DataError, lambda: [*read_log(log, model)])


def test_sample_of_large_images_is_smaller(monkeypatch):
    monkeypatch.setattr(drift, "SAMPLE_BYTES", 10 * 192)
    sample = drift.Sample((8, 8, 3))
    for _ in range(3):
        sample.add(np.zeros((9, 8, 8, 3), np.uint8))
    assert sample.images.shape == (10, 8, 8, 3)


def test_without_splits(holdout):
    write_log(holdout.images, holdout.labels)
    for name in ("train", "validation"):
        Path("artifacts/split", f"{name}.npz").unlink()
    monitored = watch()
    assert (monitored.result.drift, monitored.result.far, monitored.farthest) == ([], None, [])
    assert monitored.result.expected is None
    assert "Drift is not known" in monitoring.render(monitored)


IMAGES = np.random.default_rng(0).integers(0, 256, (500, 8, 8), dtype=np.uint8)
LABELS = np.arange(500) % 10


def read():
    log = open_log(Path("log"), days=1)
    files = SimpleNamespace(shape=(8, 8), classes=10)
    origin = SimpleNamespace(model=NAME, version=1)
    return [*read_log(log, SimpleNamespace(origin=origin, files=files))]


def replaced(name, values):
    """Rewrite the only file of the log with another column."""
    [path] = Path("log").rglob("*.parquet")
    table = pq.read_table(path)
    at = table.column_names.index(name)
    pq.write_table(table.set_column(at, name, values), path)


@pytest.mark.parametrize(
    ("name", "values", "says"),
    [
        ("image", [b"0" * 64, b"x"] * 4 + [b""], "row 1 column image: no image of 8×8"),
        ("image", [*[b"0" * 64] * 8, None], "row 8 column image: an empty cell"),
        ("predicted", [*[9] * 8, 10], "row 8 column predicted: a whole number 0…9 is needed"),
        ("predicted", [1.5] * 9, "row 0 column predicted: a whole number 0…9 is needed"),
        ("set_size", [0, 10, 11, *[1] * 6], "row 2 column set_size: a whole number 0…10 is"),
        ("at", pa.array([*[NOW] * 8, FAR], AT), "row 8 column at: a time after now"),
        ("at", pa.array(["now"] * 9), "cannot be read as a service's log: "),
        ("at", pa.array([2**62] * 9, AT), "row 0 column at: a time after now"),
        ("at", pa.array([-(2**62)] * 9, AT), "cannot be read as a service's log: "),
    ],
)
def test_log_with_bad_values(workspace, name, values, says):
    write_log(IMAGES[:9], LABELS[:9])
    replaced(name, pa.array(values))
    line = finding(DataError, read)
    assert line.startswith("log/2025-11-26/")
    assert says in line


def test_time_after_now_hides_no_other_rows(holdout):
    write_log(holdout.images, holdout.labels)
    write_log(holdout.images[:1], holdout.labels[:1], at=FAR)
    assert finding(DataError, watch).startswith("log/2199-01-01/000000-1-0.parquet row 0 column at")


def test_unknown_model_in_the_log_names_the_row(holdout):
    write_log(holdout.images[:9], holdout.labels[:9], model="evil")
    for model in ("evil", "../x 1", "x" * 5_000_000 + " 1", f"{NAME} 99"):
        replaced("model", pa.array([*[TITLE] * 8, model]))
        line = finding(DataError, lambda: open_log(Path("log"), days=1).answered_by())
        assert line.startswith("log/2025-11-26/120000-1-0.parquet row 8 column model: ")
        assert len(line) < 300


def test_repeated_image_fills_no_memory(workspace):
    write_log(IMAGES[:9], LABELS[:9])
    [path] = Path("log").rglob("*.parquet")
    rows = 800_000
    columns = {
        "at": pa.repeat(pa.scalar(NOW, AT), rows),
        "image": pa.repeat(pa.scalar(bytes(64)), rows).dictionary_encode(),
        "predicted": pa.repeat(1, rows),
        "set_size": pa.repeat(1, rows),
        "model": pa.repeat(TITLE, rows).dictionary_encode(),
    }
    pq.write_table(pa.table(columns), path, store_schema=False)
    assert "over 50,000,000 bytes of images" in finding(DataError, read)
    table = pa.table(dict.fromkeys(("at", "label"), pa.repeat(1, 10_000_001)))
    pq.write_table(table, "labels.parquet")
    line = finding(DataError, lambda: read_labels(Path("labels.parquet"), key="at", classes=10))
    assert line.endswith("over 10,000,000 rows")


def test_table_that_is_no_log(workspace):
    for table in (pa.table({"pixel0": [1]}), pa.table({"at": pa.array([], AT), "model": []})):
        Path("log").mkdir(exist_ok=True)
        pq.write_table(table, "log/a.parquet")
        line = finding(DataError, lambda: open_log(Path("log"), days=1))
        assert line == "log/a.parquet: no rows, or no columns at, model, as a log has"


def test_damaged_log(workspace):
    write_log(IMAGES, LABELS)
    [path] = Path("log").rglob("*.parquet")
    content = bytearray(path.read_bytes())
    content[200:3000] = b"\xff" * 2800
    path.write_bytes(content)
    assert finding(DataError, read).startswith(f"{path}: cannot be read as a service's log: ")


def test_log_that_unpacks_to_far_more(workspace):
    write_log(IMAGES[:1], LABELS[:1])
    [path] = Path("log").rglob("*.parquet")
    table = pa.table({"at": pa.array([NOW], AT), "image": [bytes(300 << 20)], "model": [TITLE]})
    pq.write_table(table, path, compression="zstd", use_dictionary=False)
    assert "unpacks to over 256 MB" in finding(DataError, read)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("at,label\n", "column label: whole numbers 0…9 are needed"),
        ("row,label\n1,2\n", "labels.csv: cannot be read as labels: "),
        ("at,label\n2025-11-26T12:00:00Z,3\n2025-11-26T12:00:00Z,4\n", "a value occurs twice"),
        ("at,label\n2025-11-26T12:00:00Z,10\n", "labels.csv row 0 column label: whole numbers 0…9"),
        ("at,label\n2025-11-26T12:00:00Z,\n", "an empty cell; each row needs at and label"),
    ],
)
def test_bad_labels(workspace, text, says):
    path = Path("labels.csv")
    path.write_text(text, encoding="utf-8")
    assert says in finding(DataError, lambda: read_labels(path, key="at", classes=10))


def test_no_row_of_this_version_or_with_a_label(holdout):
    times = write_log(holdout.images[:9], holdout.labels[:9], model="imageproof 7")
    assert "--model names another" in finding(DataError, watch)
    write_log(holdout.images[:9], holdout.labels[:9])
    pd.DataFrame({"label": 1, "at": [times[0] - timedelta(days=9)]}).to_csv("labels.csv")
    assert "names no row of log" in finding(DataError, lambda: watch(labels="labels.csv"))


def test_log_of_a_service_is_read(holdout):
    description = SimpleNamespace(
        title=TITLE, shape=(8, 8), confidence=SimpleNamespace(threshold=0.5)
    )
    images, labels = holdout.images[:70], holdout.labels[:70]
    with Journal(Path("log"), description) as journal:
        at = journal.add(images, np.eye(10, dtype=np.float32)[labels])
    pd.DataFrame({"at": at, "label": labels}).to_parquet("labels.parquet")
    result = watch(labels="labels.parquet").result
    assert (result.rows, result.unsure, result.model) == (70, 0, MODEL)
    assert (result.accuracy["rows"], result.accuracy["value"]) == (70, 1)
